#!/bin/sh
# Publishing to a real nginx with nothing but its built-in dav module, while a reader polls: whole,
# again, killed at random moments, refused by its rehearsal, and two at once.
#
# Usage: nginx_publish.sh CARGO-ESP-OTA IMAGE.bin FOLDER [KILLS] [PAIRS]
# (FOLDER: new; needs nginx, openssl, curl and python3 with tuf)
set -eu
tool=$1 image=$2 folder=$3 kills=${4:-25} pairs=${5:-10}
here=$(cd "$(dirname "$0")" && pwd)
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
case $image in /*) ;; *) image=$PWD/$image ;; esac
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
PATH=$PATH:/usr/sbin

mkdir -p "$folder"
cd "$folder"
export LC_ALL=C XDG_CONFIG_HOME="$folder/configuration"
export ESP_OTA_STORE_USER=ci ESP_OTA_STORE_PASSWORD=right
nginx_pid='' reader_pid=''
stop() {
    for pid in $reader_pid $nginx_pid; do kill "$pid" 2>/dev/null || true; done
    nginx_pid='' reader_pid=''
}
trap stop EXIT
fail() { echo "FAILED: $1" >&2; exit 1; }
random() { python3 -c "import random; print(random.uniform($1, $2))"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# A root and a server's certificate for the name that devices use and the address that we write to.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1-root.key" \
        -subj "/CN=$1 Root" -days 3650 -addext 'basicConstraints=critical,CA:TRUE' \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$1.pem" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1-server.key" \
        -subj '/CN=updates.test' -out "$1.csr" 2>/dev/null
    printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:updates.test,IP:127.0.0.1\n' >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$1.pem" -CAkey "$1-root.key" -days 90 -extfile "$1.ext" \
        -out "$1-server.pem" 2>/dev/null
}
authority bench
authority other
port=$(free_port) hidden=$(free_port) strange=$(free_port)
reading=$(free_port) putting=$(free_port) small=$(free_port) flat=$(free_port)
url=https://updates.test/t address=127.0.0.1:$port store=https://127.0.0.1:$port/t
printf 'ci:%s\n' "$(openssl passwd -apr1 right)" >passwords

mkdir -p nginx www/t reading/t putting/t small/t flat/t
cat >nginx/nginx.conf <<EOF
daemon off; worker_processes 2; user $(id -un) $(id -gn); pid nginx/pid; error_log nginx/error.log;
events {}
http {
    access_log off; default_type application/octet-stream;
    map \$uri \$ota_cache {
        default                        "public, max-age=31536000, immutable";
        ~/metadata/timestamp\.json\$    "no-cache";
        ~/metadata/staged/             "no-store";
        ~/firmware\.bin\$               "no-cache";
    }
    client_body_temp_path $folder/nginx/body; proxy_temp_path nginx/proxy; fastcgi_temp_path nginx/fastcgi;
    uwsgi_temp_path nginx/uwsgi; scgi_temp_path nginx/scgi;
    ssl_certificate $folder/bench-server.pem; ssl_certificate_key $folder/bench-server.key;
    root $folder/www;
    server {
        listen 127.0.0.1:$port ssl;
        location /t/ {
            dav_methods PUT DELETE MKCOL COPY MOVE;
            create_full_put_path on;
            client_max_body_size 64m;
            add_header Cache-Control \$ota_cache;
            limit_except GET { auth_basic "releases"; auth_basic_user_file $folder/passwords; }
        }
    }
    # Hosts on which a rehearsal fails: one hides the images, one shows a certificate of strangers.
    server { listen 127.0.0.1:$hidden ssl; location /t/targets/ { return 404; } }
    server {
        listen 127.0.0.1:$strange ssl;
        ssl_certificate $folder/other-server.pem; ssl_certificate_key $folder/other-server.key;
    }
    # Servers that do less: none of it, PUT and DELETE alone, small files only, no folders by PUT.
    server { listen 127.0.0.1:$reading ssl; root $folder/reading; }
    server {
        listen 127.0.0.1:$putting ssl; root $folder/putting;
        dav_methods PUT DELETE; create_full_put_path on;
    }
    server {
        listen 127.0.0.1:$small ssl; root $folder/small;
        dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; client_max_body_size 1k;
    }
    server { listen 127.0.0.1:$flat ssl; root $folder/flat; dav_methods PUT DELETE MKCOL COPY MOVE; }
}
EOF
nginx -p "$folder" -c nginx/nginx.conf 2>nginx/start.log &
nginx_pid=$!
tries=0
until openssl s_client -connect "$address" </dev/null >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { cat nginx/start.log nginx/error.log; fail 'nginx does not start'; }
    sleep 0.1
done

"$tool" init thermostat --product thermostat --url "$url" --root-ca bench.pem >/dev/null
sed -i "s|^#* *store = .*|store = \"$store\"|" thermostat/esp-ota.toml
grep -q "^store = \"$store\"" thermostat/esp-ota.toml || echo "store = \"$store\"" >>thermostat/esp-ota.toml

# make VERSION: writes VERSION.bin.
make() { python3 "$here/version.py" "$image" "$1" "$folder/$1.bin"; }
# publish VERSION ADDRESS: its exit code in $code, its words in VERSION.log.
publish() {
    set +e
    (cd thermostat && exec "$tool" publish "../$1.bin" --connect "${2:-$address}" --color never) >"$1.log" 2>&1
    code=$?
    set -e
}
# expect CODE WORDS VERSION ADDRESS
expect() {
    publish "$3" "${4:-$address}"
    [ "$code" = "$1" ] || { cat "$3.log"; fail "publish of $3 exits with $code, not $1"; }
    grep -qF -- "$2" "$3.log" || { cat "$3.log"; fail "publish of $3 does not say \"$2\""; }
}
# other PORT CODE WORDS: what comes of publishing 1.0.0 to another server.
other() {
    set +e
    (cd thermostat && exec "$tool" publish ../1.0.0.bin --store "https://127.0.0.1:$1/t" --connect "127.0.0.1:$1" --color never) >other.log 2>&1
    code=$?
    set -e
    [ "$code" = "$2" ] || { cat other.log; fail "publish to another server exits with $code, not $2"; }
    grep -qF -- "$3" other.log || { cat other.log; fail "publish to another server does not say \"$3\""; }
}
# Everything that a device reads: not what waits, nor metadata that no live file names yet.
everything() { (cd www/t && find . -type f ! -path './metadata/staged/*' -exec sha256sum {} + | sort); }
# Numbered metadata never changes, and a number is never given twice.
: >numbers
numbers() {
    [ ! -s numbers ] || (cd www/t && sha256sum --quiet -c "$folder/numbers") || fail 'a numbered file was changed'
    (cd www/t && sha256sum metadata/*.*.json targets/*) >numbers
}

make 1.0.0
(unset ESP_OTA_STORE_USER ESP_OTA_STORE_PASSWORD; expect 3 'ESP_OTA_STORE_USER' 1.0.0)
(export ESP_OTA_STORE_PASSWORD=wrong; expect 3 'refuses the credentials' 1.0.0)
[ -z "$(everything)" ] || fail 'something was written without credentials'
expect 0 'published thermostat 1.0.0' 1.0.0
everything >before
expect 0 'is published already' 1.0.0
everything | cmp - before || fail 'publishing the same again changed something'
numbers

other "$reading" 5 'does not take PUT'
other "$putting" 0 'published thermostat 1.0.0'
other "$putting" 0 'is published already'
other "$small" 5 'is larger than'
other "$flat" 0 'published thermostat 1.0.0'
echo 'servers that do less: as expected'

python3 "$here/reader.py" "https://127.0.0.1:$port/t" thermostat/trust/root.json reader bench.pem >reader.log 2>&1 &
reader_pid=$!

began=$(date +%s%N)
make 1.0.1
expect 0 'published thermostat 1.0.1' 1.0.1
took=$(python3 -c "print(($(date +%s%N) - $began) / 1e9)")
numbers

killed=0
for i in $(seq "$kills"); do
    make "1.1.$i"
    (cd thermostat && exec "$tool" publish "../1.1.$i.bin" --connect "$address" --color never) >"1.1.$i.log" 2>&1 &
    publisher=$!
    sleep "$(random 0 "$took")"
    kill -KILL "$publisher" 2>/dev/null || true
    set +e
    wait "$publisher" 2>/dev/null
    code=$?
    set -e
    [ "$code" != 137 ] || killed=$((killed + 1))
    numbers
    expect 0 'thermostat 1.1.' "1.1.$i"
    numbers
    rm "1.1.$i.bin"
done
echo "$killed of $kills publishes killed within $took s; each time the next one succeeded"

cp www/t/metadata/timestamp.json live-timestamp.json
make 1.2.0
for host in "$hidden" "$strange"; do
    everything >before
    publish 1.2.0 "127.0.0.1:$host"
    [ "$code" != 0 ] || fail 'a rehearsal on a host that cannot serve succeeds'
    everything >after
    # Files may be added that nothing live names; none is changed.
    [ -z "$(comm -23 before after)" ] || fail "a failed rehearsal changed: $(comm -23 before after)"
    cmp live-timestamp.json www/t/metadata/timestamp.json || fail 'a failed rehearsal went live'
    echo "a failed rehearsal exits with $code and changes nothing: $(grep -m 1 '^error' 1.2.0.log)"
done
expect 0 'published thermostat 1.2.0' 1.2.0
numbers

for i in $(seq "$pairs"); do
    make "2.$i.0"
    make "2.$i.1"
    for j in 0 1; do
        (cd thermostat && exec "$tool" publish "../2.$i.$j.bin" --connect "$address" --color never) >"2.$i.$j.log" 2>&1 &
        eval "publisher_$j=$!"
    done
    set +e
    # shellcheck disable=SC2154  # set by eval
    wait "$publisher_0"; code_0=$?
    # shellcheck disable=SC2154
    wait "$publisher_1"; code_1=$?
    set -e
    case $code_0$code_1 in
        01 | 10) ;;
        *) cat "2.$i.0.log" "2.$i.1.log"; fail "two at once exit with $code_0 and $code_1" ;;
    esac
    numbers
    echo "two at once: $code_0 and $code_1: $(grep -h -m 1 '^error' "2.$i.0.log" "2.$i.1.log")"
    [ "$code_0" = 0 ] && winner=2.$i.0 || winner=2.$i.1
    cmp "$winner.bin" www/t/esp32c3/firmware.bin || fail "firmware.bin is not $winner"
done

kill -0 "$reader_pid" 2>/dev/null || { cat reader.log; fail 'the reader saw an error'; }
touch reader/STOP
wait "$reader_pid" || { cat reader.log; fail 'the reader saw an error'; }
reader_pid=
cat reader.log

curl --silent --show-error --cacert bench.pem --connect-to "updates.test:443:$address" --dump-header head \
    --output got.bin "$url/esp32c3/firmware.bin"
grep -q '^HTTP/1.1 200' head || { cat head; fail 'firmware.bin: no 200'; }
grep -qi "^content-length: $(wc -c <"$winner.bin")" head || { cat head; fail 'firmware.bin: Content-Length'; }
# header PATTERN PATH: what the server says of a file, so that caches do no harm.
header() {
    curl --silent --cacert bench.pem --connect-to "updates.test:443:$address" --head "$url/$2" | grep -qi "^cache-control: $1" \
        || fail "$2 is not served with \"$1\""
}
header no-cache metadata/timestamp.json
header no-cache esp32c3/firmware.bin
header 'public, max-age=31536000, immutable' metadata/1.root.json
cmp got.bin "$winner.bin" || fail "firmware.bin is not $winner"
echo "firmware.bin is $winner, $(wc -c <got.bin) bytes, no redirect"
(cd thermostat && "$tool" check --color never | grep '^repository') || fail 'check'
