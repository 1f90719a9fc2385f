#!/bin/sh
# What C and C++ compilers and openssl say of `roots.h`, and a compiler of the sketch in docs/guide/arduino.md.
#
# Usage: c_header.sh CARGO-ESP-OTA FOLDER   (FOLDER: new; needs cc, c++ and openssl)
set -eu
tool=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
fail() { echo "FAILED: $1" >&2; exit 1; }

mkdir -p "$folder"
cd "$folder"
XDG_CONFIG_HOME=$PWD/configuration
export XDG_CONFIG_HOME

echo "--- a project beside a sketch, as the guide has it, with two roots"
mkdir sketch
cd sketch
cat >esp-ota.toml <<'END'
product = "thermostat"
chip = "esp32c3"

[trust]
embed = ["roots.h"]

[release]
url = "https://updates.example.com/thermostat"
END
"$tool" partitions generate --preset default --output partitions.csv --quiet >/dev/null
"$tool" partitions check --quiet >/dev/null
"$tool" keys new --quiet >/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout ../one.key -out ../one.pem -days 900 \
    -subj '/O=Test "1"/CN=One ??\/ Root' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout ../two.key -out ../two.pem -days 900 \
    -subj '/CN=Two *\/ Root\\' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
"$tool" ca add ../one.pem --yes --quiet >/dev/null
"$tool" ca add ../two.pem --yes --quiet >/dev/null
"$tool" ca embed --check --quiet >/dev/null
cd ..

echo "--- C and C++: in two units of one program, twice in each"
for unit in one two; do
    printf '#include "sketch/roots.h"\n#include "sketch/roots.h"\nconst char *roots_of_%s(void);\nconst char *roots_of_%s(void) { return rootCACertificate; }\n' \
        "$unit" "$unit" >"$unit.c"
    sed 's/(void)/()/' "$unit.c" >"$unit.cpp"
done
cat >main.c <<'END'
#include <stdio.h>
#include <string.h>
const char *roots_of_one(void);
const char *roots_of_two(void);
int main(void) { return strcmp(roots_of_one(), roots_of_two()) != 0 || fputs(roots_of_one(), stdout) < 0; }
END
sed 's/(void)/()/' main.c >main.cpp
compilers=0
# reads NAME COMPILER FLAGS...: compiles and runs the program; what it prints has to be the pinned roots.
reads() {
    name=$1 suffix=$2
    shift 2
    command -v "$1" >/dev/null 2>&1 || { echo "skipped: there is no $1"; return 0; }
    "$@" -Wall -Wextra -Wpedantic -Werror -o "$name" main."$suffix" one."$suffix" two."$suffix"
    ./"$name" >"$name.pem"
    cat one.pem two.pem | cmp - "$name.pem" || fail "what $* compiled is not the two roots"
    compilers=$((compilers + 1))
    echo "$*: the two roots, byte for byte"
}
reads c99 c gcc -std=c99
reads gnu17 c gcc -std=gnu17
reads trigraphs c gcc -std=c99 -trigraphs
reads clang c clang -std=c11
reads cpp11 cpp g++ -std=c++11
reads cpp23 cpp g++ -std=gnu++23
reads clangpp cpp clang++ -std=c++17
[ $compilers -gt 0 ] || fail "no compiler read it"

echo "--- openssl: each certificate of the string"
name=$(ls ./*.pem | grep -v -e one.pem -e two.pem | head -n 1)
awk '/BEGIN/ { n++ } { print > ("part-" n ".pem") }' "$name"
for part in one two; do
    case $part in one) number=1 ;; two) number=2 ;; esac
    print=$(openssl x509 -in part-$number.pem -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)
    grep -q "^// SHA-256: $print$" sketch/roots.h || fail "openssl finds a certificate $print that no comment names"
    openssl x509 -in part-$number.pem -noout -subject
done
[ ! -e part-3.pem ] || fail "openssl finds a third certificate"

echo "--- the sketch of the guide, with stand-ins for the Arduino core"
sed -n '/^```cpp$/,/^```$/p' "$here/../../docs/guide/arduino.md" | sed '/^```/d' >sketch/sketch.cpp
[ -s sketch/sketch.cpp ] || fail "the guide has no sketch"
mkdir core
cp "$here/arduino/Arduino.h" core/
for header in HTTPClient Preferences Update WiFi WiFiClientSecure esp_ota_ops esp_timer; do
    echo '#include "Arduino.h"' >"core/$header.h"
done
c++ -std=gnu++17 -fsyntax-only -Wall -Wextra -Werror -Icore -Isketch sketch/sketch.cpp
if sed 's/rootCACertificate/rootCACertificates/' sketch/sketch.cpp | c++ -std=gnu++17 -fsyntax-only -Icore -Isketch -x c++ - 2>/dev/null; then
    fail "the compiler takes a sketch with a slip, so this check proves nothing"
fi
echo "read without a warning; not compiled against the Arduino core, which is not here"
