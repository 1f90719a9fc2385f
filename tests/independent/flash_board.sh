#!/bin/sh
# flash_board.sh PROGRAM PROJECT FOLDER: `flash` at a virtual board, and what others say of it: esptool
# reads and compares the board, and otadata is judged by ESP-IDF's definition.
#
# PROJECT is that of `demo --keep`, with two published images. `esptool` has to be in PATH.
set -eu
program=$1
project=$2
folder=$3
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$folder"
mkdir -p "$folder"

board=
stop() { [ -z "$board" ] || { kill "$board" 2>/dev/null || :; wait "$board" 2>/dev/null || :; }; board=; }
trap stop EXIT

# plug: a board with the flash that it had, and its port.
plug() {
    rm -f "$folder/port"
    "$program" virtual-device --pty --image "$folder/flash.bin" --chip esp32c3 -q > "$folder/port" &
    board=$!
    tries=0
    while [ ! -s "$folder/port" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "no port"; exit 1; }
        sleep 0.05
    done
    port=$(cat "$folder/port")
}

# unplug: it writes its file once the line is silent.
unplug() { sleep 0.3; stop; }

# ask ARGUMENTS...: esptool, which has to succeed.
ask() {
    if ! esptool --chip esp32c3 --port "$port" --before no-reset --after no-reset --no-stub "$@" > "$folder/said" 2>&1; then
        echo "FAILED: esptool $*"
        cat "$folder/said"
        exit 1
    fi
}

# install VERSION SLOT OFFSET
install() {
    image=$(cd "$project" && find "$PWD/dist/targets" -name "*-esp32c3-$1.bin")
    plug
    (cd "$project" && "$program" flash --app "$image" --port "$port" -q > "$folder/report")
    ask verify-flash "$3" "$image"
    ask read-flash 0 0x8000 "$folder/bootloader.bin"
    unplug
    esptool image-info "$folder/bootloader.bin" > "$folder/said"
    grep -q 'Checksum: .*(valid)' "$folder/said"
    grep -q 'Validation hash: .*(valid)' "$folder/said"
    grep -q 'Flash size: 4MB' "$folder/said"
    python3 "$here/otadata.py" "$folder/flash.bin" "$2"
    echo "ok  $1 into ota_$2, as esptool and ESP-IDF's definition of otadata have it"
}

install 1.1.0 0 0x10000
install 1.3.0 1 0x150000
install 1.1.0 0 0x10000
