#!/bin/sh
# What others say of our work: esptool, python-tuf, curl and ESP-IDF's definition of otadata look at
# what `demo --keep` leaves.
#
# Usage: check.sh CARGO-ESP-OTA FOLDER   (FOLDER: new; needs esptool and tuf for `python3`, and curl)
set -eu
tool=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
say() { printf '\n--- %s\n' "$1"; }
fail() { echo "FAILED: $1" >&2; exit 1; }

say "demo --keep"
"$tool" demo --keep "$folder" --color never | sed -n '/^Summary/,$p'

say "esptool: every image, and every slot of every dump"
images=0
valid() {
    out=$(python3 -m esptool --chip esp32c3 image-info "$1" 2>&1) || { echo "$out"; fail "$1"; }
    case $out in
        *"Checksum: "*"(valid)"*"Validation hash: "*"(valid)"*) images=$((images + 1)) ;;
        *) echo "$out"; fail "$1 has no valid checksum and hash" ;;
    esac
}
for image in "$folder"/thermostat/target/esp-ota/*.bin "$folder"/thermostat/dist/esp32c3/firmware.bin; do
    valid "$image"
done
for dump in "$folder"/flash-*.bin; do
    for sector in 16 336; do # 0x10000 and 0x150000, in sectors of 4096 bytes
        dd if="$dump" of="$folder/slot.bin" bs=4096 skip=$sector count=320 status=none
        # A slot that was never written is erased flash, and no image.
        [ "$(od -An -tx1 -N1 "$folder/slot.bin" | tr -d ' ')" = ff ] || valid "$folder/slot.bin"
    done
done
rm -f "$folder/slot.bin"
[ "$images" -eq 12 ] || fail "$images images were valid, not 12"
echo "$images images valid"
if python3 -m esptool --chip esp32c3 image-info "$folder/tampered.bin" 2>&1 | grep -q "Checksum: .*(valid)"; then
    fail "esptool accepts the tampered image, so this check proves nothing"
fi

say "esptool and espsecure: what inspect says of images, and of what these tools make of them"
python3 "$here/inspect_files.py" "$tool" "$folder"

say "otadata, by ESP-IDF's definition"
python3 "$here/otadata.py" "$folder/flash-1-installed.bin" 0
python3 "$here/otadata.py" "$folder/flash-2-updated.bin" 1
python3 "$here/otadata.py" "$folder/flash-3-fell-back.bin" 1
python3 "$here/otadata.py" "$folder/flash-4-healthy.bin" 0

say "the flash of an emulated chip: bootloader, both slots, otadata"
cat >"$folder/no-emulator" <<'END'
#!/bin/sh
# In an emulator's place: flash is laid out before it starts, and nothing happens to it.
case "$*" in
    --version) echo 'no emulator at all' ;;
    '-M help') echo 'esp32c3 of no emulator' ;;
    *) exec sleep 60 ;;
esac
END
chmod +x "$folder/no-emulator"
code=0
(cd "$folder/thermostat" && "$tool" rehearse --emulator qemu --boot-only --deadline 1 -q \
    --emulator-binary ../no-emulator) >/dev/null || code=$?
[ $code -eq 1 ] || fail "an image that nobody executed exits $code, not 1"
flash=$folder/thermostat/target/esp-ota/emulator/flash-boot.bin
dd if="$flash" of="$folder/part.bin" bs=4096 count=8 status=none
valid "$folder/part.bin"
python3 -m esptool --chip esp32c3 image-info "$folder/part.bin" 2>&1 | grep "Flash size: 4MB" \
    || fail "the bootloader of the emulated chip states another flash size"
for sector in 16 336; do
    dd if="$flash" of="$folder/part.bin" bs=4096 skip=$sector count=320 status=none
    valid "$folder/part.bin"
done
python3 "$here/otadata.py" "$flash" 1
rm -r "$folder/part.bin" "$folder/no-emulator" "$folder/thermostat/target/esp-ota/emulator"

say "esptool: an old image under a newer version"
keys=$(mktemp -d)
mkdir "$folder/revert"
(
    export XDG_CONFIG_HOME="$keys"
    cd "$folder/revert"
    "$tool" init --product thermostat --chip esp32c3 -q >/dev/null
    "$tool" ca add ../bench-root.pem --yes -q >/dev/null
    for version in 1.0.0 1.1.0; do
        "$tool" publish "../thermostat/target/esp-ota/thermostat-esp32c3-$version.bin" -q >/dev/null
    done
    "$tool" publish --revert 1.0.0 -q | head -n 1
) || fail "publish --revert"
valid "$folder/revert/dist/esp32c3/firmware.bin"
python3 -m esptool --chip esp32c3 image-info "$folder/revert/dist/esp32c3/firmware.bin" 2>&1 | grep "App version: 1.1.1" \
    || fail "esptool reads another version from the app descriptor"
rm -r "$keys" "$folder/revert"

say "serve, for python-tuf and curl"
XDG_CONFIG_HOME=$(mktemp -d)
export XDG_CONFIG_HOME
"$tool" serve --dir "$folder/thermostat/dist" --port 0 --format json >"$folder/serve.json" 2>/dev/null &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$XDG_CONFIG_HOME"' EXIT
tries=0
until [ -s "$folder/serve.json" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "serve did not start"
    sleep 0.1
done
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$folder/serve.json" "$1"; }
url=$(field url) ca=$(field root-ca)

say "python-tuf"
python3 "$here/python_tuf.py" "$url" "$folder/thermostat/trust/root.json" thermostat-esp32c3-1.3.0.bin "$ca"
if python3 "$here/python_tuf.py" "$url" "$folder/thermostat/trust/root.json" thermostat-esp32c3-1.3.0.bin /dev/null 2>/dev/null; then
    fail "python-tuf fetched without the bench root"
fi

say "curl"
image=$folder/thermostat/target/esp-ota/thermostat-esp32c3-1.3.0.bin
size=$(wc -c <"$image" | tr -d ' ')
# asks STATUS FLAGS...: one request for the plain file; head in `head`, body in `body`, and no redirect.
asks() {
    status=$1
    shift
    rm -f "$folder/body"
    seen=$(curl --silent --show-error --cacert "$ca" --dump-header "$folder/head" --output "$folder/body" \
        --write-out '%{http_code} %{num_redirects} %{redirect_url}' "$@" "$url/esp32c3/firmware.bin")
    [ "$seen" = "$status 0 " ] || fail "curl $* gives '$seen', not $status without a redirect"
}
# head_line NAME: a line of the head of the last answer.
head_line() { tr -d '\r' <"$folder/head" | sed -n "s/^$1: //Ip"; }
asks 200
cmp "$folder/body" "$image" || fail "the plain copy is not the newest release"
[ "$(head_line content-length)" = "$size" ] || fail "content-length is $(head_line content-length), not $size"
[ -z "$(head_line transfer-encoding)" ] || fail "the plain copy comes in chunks"
etag=$(head_line etag)
asks 200 --head
[ "$(head_line content-length)" = "$size" ] && [ "$(head_line etag)" = "$etag" ] || fail "HEAD does not say what GET does"
asks 206 --header "Range: bytes=1000-"
[ "$(head_line content-range)" = "bytes 1000-$((size - 1))/$size" ] || fail "content-range: $(head_line content-range)"
tail -c +1001 "$image" | cmp - "$folder/body" || fail "the rest of the file is another one"
head -c 1000 "$image" >"$folder/resumed.bin"
curl --silent --show-error --fail --cacert "$ca" --continue-at - --output "$folder/resumed.bin" "$url/esp32c3/firmware.bin"
cmp "$folder/resumed.bin" "$image" || fail "a download that went on is another file"
asks 206 --header "Range: bytes=1000-" --header "If-Range: $etag"
asks 200 --header "Range: bytes=1000-" --header 'If-Range: "another"'
asks 416 --header "Range: bytes=$size-"
[ "$(head_line content-range)" = "bytes */$size" ] || fail "content-range of a 416: $(head_line content-range)"
asks 304 --header "If-None-Match: $etag"
[ ! -s "$folder/body" ] || fail "a 304 has a body"
asks 200 --header 'If-None-Match: "another"'
# As the sketch of docs/guide/arduino.md asks: its TLS names no protocol.
asks 200 --http1.0 --no-alpn
cmp "$folder/body" "$image" && [ "$(head_line content-length)" = "$size" ] || fail "HTTP/1.0 gets another answer"
asks 304 --http1.0 --no-alpn --header "If-None-Match: $etag"
echo "with the bench root: $size bytes; length, HEAD, ranges, ETag and HTTP/1.0 as they should be, no redirect"
code=0
curl --silent --output /dev/null "$url/esp32c3/firmware.bin" || code=$?
[ $code -eq 60 ] || fail "curl without the bench root exits $code, not 60"
echo "without the bench root: exit 60, certificate not trusted"

say "python-tuf: every key rotated, from the first root"
kill $server
rm "$folder/serve.json"
"$tool" init "$folder/rotated" --product thermostat --root-ca "$ca" --quiet >/dev/null
cd "$folder/rotated"
"$tool" publish "$folder/thermostat/target/esp-ota/thermostat-esp32c3-1.2.0.bin" --quiet
"$tool" publish "$image" --rollout 25 --quiet
cp trust/root.json "$folder/first-root.json"
# Without a URL there is nobody to look at, and each run makes one half.
"$tool" keys rotate --yes --role root --role targets --role snapshot --role timestamp
"$tool" keys rotate
"$tool" serve --port 0 --format json >"$folder/serve.json" 2>/dev/null &
server=$!
tries=0
until [ -s "$folder/serve.json" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "serve did not start again"
    sleep 0.1
done
python3 "$here/python_tuf.py" "$(field url)" "$folder/first-root.json" thermostat-esp32c3-1.3.0.bin "$ca"

say "curl: the plain copy is the newest release for the whole fleet"
url=$(field url)
asks 200
cmp "$folder/body" "$folder/thermostat/target/esp-ota/thermostat-esp32c3-1.2.0.bin" \
    || fail "the plain copy is not 1.2.0, while 1.3.0 is for a quarter of the fleet"
echo "1.2.0, while 1.3.0 is for a quarter of the fleet"
echo
echo "all agree"
