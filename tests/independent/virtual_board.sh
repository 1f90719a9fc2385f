#!/bin/sh
# virtual_board.sh PROGRAM FOLDER: esptool flashes and reads the virtual board, as it would a real one,
# with its stub and without, for every chip; and what it then holds is compared byte for byte.
#
# `esptool` has to be in PATH.
set -eu
program=$1
folder=$2
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"

# What does not compress, of an odd length, and what does.
head -c 100001 /dev/urandom > noise.bin
{ head -c 70000 /dev/zero; cat noise.bin; } > mixed.bin

board=
stop() { [ -z "$board" ] || { kill "$board" 2>/dev/null || :; wait "$board" 2>/dev/null || :; }; }
trap stop EXIT

# ask ARGUMENTS...: esptool, which has to succeed.
ask() {
    # shellcheck disable=SC2086 # flags are several words
    if ! esptool --chip "$chip" --port "$port" --before no-reset --after no-reset $stub "$@" > said 2>&1; then
        echo "FAILED: $chip $stub $*"
        cat said
        exit 1
    fi
}

# judge CHIP [--no-stub]: a board of its own.
judge() {
    chip=$1
    stub=${2:-}
    rm -f flash.bin port
    # shellcheck disable=SC2086
    "$program" virtual-device --pty --image flash.bin --chip "$chip" $stub -q > port &
    board=$!
    tries=0
    while [ ! -s port ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "no port"; exit 1; }
        sleep 0.05
    done
    port=$(cat port)
    ask flash-id
    grep -q 'Detected flash size: 4MB' said
    ask write-flash 0x10000 noise.bin 0x40000 mixed.bin
    ask verify-flash 0x10000 noise.bin 0x40000 mixed.bin
    ask read-flash 0x10001 5000 part.bin
    tail -c +2 noise.bin | head -c 5000 | cmp - part.bin
    ask erase-region 0x11000 0x2000
    # It writes its file once the line is silent.
    sleep 0.3
    stop
    board=
    python3 - << 'PYTHON'
noise, mixed, found = (open(name, "rb").read() for name in ("noise.bin", "mixed.bin", "flash.bin"))
flash = bytearray(b"\xff" * len(found))
flash[0x10000:0x10000 + len(noise)] = noise
flash[0x40000:0x40000 + len(mixed)] = mixed
flash[0x11000:0x13000] = b"\xff" * 0x2000
assert len(found) == 4 << 20 and bytes(flash) == found, "the board's flash is not what esptool wrote"
PYTHON
    echo "ok  $chip ${stub:-with the stub}"
}

for chip in esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32p4; do
    judge "$chip"
done
for chip in esp32 esp32s2 esp32c3; do
    judge "$chip" --no-stub
done
