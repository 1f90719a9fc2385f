#!/bin/sh
# A real nginx as the host of releases: what `ca add`, `ca check` and `ca plan` say of it, good and bad.
#
# Usage: nginx_host.sh CARGO-ESP-OTA IMAGE.bin FOLDER   (FOLDER: new; needs nginx, openssl and python3)
set -eu
tool=$1 image=$2 folder=$3
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
case $image in /*) ;; *) image=$PWD/$image ;; esac
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
PATH=$PATH:/usr/sbin
fail() { echo "FAILED: $1" >&2; exit 1; }

mkdir -p "$folder"
cd "$folder"
export XDG_CONFIG_HOME="$folder/configuration"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=https://updates.test/t
address=127.0.0.1:$port

# authority NAME: a root, an intermediate, and a server's certificate; NAME.pem is the root, NAME-chain.pem
# what the server shows.
authority() {
    name=$1
    new_key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1"; }
    new_key "$name-root.key"; new_key "$name-between.key"; new_key "$name-server.key"
    ca='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
    server='basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:updates.test\n'
    openssl req -x509 -key "$name-root.key" -subj "/O=Test/CN=$name Root" -days 3650 -sha256 \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$name.pem"
    # shellcheck disable=SC2059  # the line breaks in the extensions are meant
    {
        printf "$ca" >"$name-ca.ext"
        printf "$server" >"$name-server.ext"
    }
    openssl req -new -key "$name-between.key" -subj "/O=Test/CN=$name Intermediate" \
        | openssl x509 -req -CA "$name.pem" -CAkey "$name-root.key" -days 1000 -extfile "$name-ca.ext" -out "$name-between.pem" 2>/dev/null
    openssl req -new -key "$name-server.key" -subj '/CN=updates.test' \
        | openssl x509 -req -CA "$name-between.pem" -CAkey "$name-between.key" -days 90 -extfile "$name-server.ext" \
            -out "$name-leaf.pem" 2>/dev/null
    cat "$name-leaf.pem" "$name-between.pem" >"$name-chain.pem"
}

# nginx_with CHAIN KEY SERVER-LINES LOCATION-LINES: starts nginx anew.
nginx_pid= protocols=
nginx_with() {
    stop
    mkdir -p nginx
    cat >nginx/nginx.conf <<EOF
daemon off; master_process off; worker_processes 1; pid nginx/pid; error_log nginx/error.log;
events {}
http {
    access_log off; default_type application/octet-stream;
    client_body_temp_path nginx/body; proxy_temp_path nginx/proxy; fastcgi_temp_path nginx/fastcgi;
    uwsgi_temp_path nginx/uwsgi; scgi_temp_path nginx/scgi;
    server {
        listen 127.0.0.1:$port ssl; server_name updates.test;
        ssl_certificate $folder/$1; ssl_certificate_key $folder/$2;
        ssl_protocols ${protocols:-TLSv1.2 TLSv1.3};
        $3
        location /t/ { alias $folder/thermostat/dist/; $4 }
    }
}
EOF
    nginx -p "$folder" -c nginx/nginx.conf 2>nginx/start.log &
    nginx_pid=$!
    tries=0
    until openssl s_client -connect "$address" </dev/null >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || { cat nginx/start.log nginx/error.log; fail "nginx does not start"; }
        sleep 0.1
    done
}
stop() {
    [ -z "$nginx_pid" ] || { kill "$nginx_pid" 2>/dev/null || true; wait "$nginx_pid" 2>/dev/null || true; }
    nginx_pid=
}
trap stop EXIT

# expect CODE WORDS ARGUMENTS...: the command exits with CODE and its output holds WORDS.
count=0
expect() {
    code=$1 words=$2
    shift 2
    set +e
    (cd thermostat && "$tool" ca "$@" --color never) >out 2>&1
    found=$?
    set -e
    [ "$found" = "$code" ] || { cat out; fail "\`ca $*\` exits with $found, not $code"; }
    grep -qF -- "$words" out || { cat out; fail "\`ca $*\` does not say \"$words\""; }
    count=$((count + 1))
}

authority old
authority new
"$tool" init thermostat --product thermostat --url "$url" --root-ca old.pem >/dev/null
(cd thermostat && "$tool" publish "$image" -q >/dev/null)

good() { nginx_with old-chain.pem old-server.key "$1" "$2"; }

good '' ''
expect 0 'range: ok: 206 and 416' check --connect "$address"
expect 0 'etag: ok: ' check --connect "$address"
expect 0 'tls: ok: TLS 1.2 and 1.3' check --connect "$address"
expect 0 'releases: ok: 1 published release, each reaches the host' check --connect "$address"
expect 1 '(no-spare)' check --connect "$address" --deny warnings
expect 1 '(ends-soon)' check --connect "$address" --min-days 91

protocols=TLSv1.3
good '' ''
protocols=
expect 0 '(no-tls12)' check --connect "$address"
good '' 'max_ranges 0;'
expect 1 '(no-range)' check --connect "$address"
good '' 'etag off;'
expect 1 '(no-etag)' check --connect "$address"
long=$(printf '%3000s' '' | tr ' ' x)
good '' "add_header A $long; add_header B $long; add_header C $long;"
expect 1 '(head-too-large)' check --connect "$address"
good 'rewrite ^/t/targets/(.*)$ https://updates.test/elsewhere/$1 redirect;' ''
expect 1 '(redirect)' check --connect "$address"
good '' 'deny all;'
expect 1 'range: not made: ' check --connect "$address"

nginx_with old-leaf.pem old-server.key '' ''
expect 6 'its chain ends below `O=Test, CN=old Intermediate`' check --connect "$address"
nginx_with new-chain.pem new-server.key '' ''
expect 6 '(release-stranded)' check --connect "$address"
expect 1 'it is too early to switch' plan --new ../new.pem --connect "$address"
expect 1 'with 1.3.0 for esp32c3 would lose the server' plan --new ../new.pem --connect "$address"
expect 6 'no root in Mozilla' add "$url" --connect "$address" --yes
expect 0 'pinned O=Test, CN=new Root' add "$url" --connect "$address" --candidates ../new.pem --yes
expect 0 'days left, in `certs/new-root-' list
stop
expect 7 'could not be reached' check --connect "$address"

echo "$count answers about nginx as expected"
