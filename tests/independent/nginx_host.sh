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

# issue NAME SUBJECT ISSUER DIGEST EXTENSIONS: a certificate for NAME.key, which is made where it is not there.
issue() {
    [ -e "$1.key" ] || openssl ecparam -genkey -name prime256v1 -noout -out "$1.key"
    printf '%s\n' "$5" | tr '|' '\n' >"$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$2" \
        | openssl x509 -req -CA "$3.pem" -CAkey "$3.key" -days 90 "-$4" -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

# below NAME ISSUER DIGEST [EXTENSIONS]: a server's certificate, and NAME-chain.pem with its issuer behind it.
below() {
    issue "$1" leaf "$2" "$3" "basicConstraints=CA:FALSE|extendedKeyUsage=serverAuth|${4:-subjectAltName=DNS:updates.test}"
    cat "$1.pem" "$2.pem" >"$1-chain.pem"
}

# Certificates as they go wrong in the field, under the old root. OpenSSL makes what the libraries of the
# tests in Rust do not: SHA-1, and RSA keys of 1024 bits.
bad_chains() {
    ca='basicConstraints=critical,CA:TRUE|keyUsage=critical,keyCertSign,cRLSign'
    cp old-root.key old.key
    openssl genrsa -out weak.key 1024 2>/dev/null
    openssl genrsa -out strong.key 2048 2>/dev/null
    cp weak.key weak-leaf.key
    issue strong 'Strong CA' old sha256 "$ca"
    issue weak 'Weak CA' old sha256 "$ca"
    issue narrow 'Narrow CA' old sha256 "$ca|nameConstraints=critical,permitted;DNS:other.test"
    issue no-ca 'No CA' old sha256 'basicConstraints=critical,CA:FALSE'
    below sha1 strong sha1
    below rsa-1024 weak sha256
    below constrained narrow sha256
    below under-no-ca no-ca sha256
    below other-name strong sha256 'subjectAltName=DNS:other.test'
    below weak-leaf strong sha256
    below for-clients strong sha256 'subjectAltName=DNS:updates.test'
    sed -i 's/serverAuth/clientAuth/' for-clients.ext
    openssl req -new -key for-clients.key -subj /CN=leaf \
        | openssl x509 -req -CA strong.pem -CAkey strong.key -days 90 -sha256 -extfile for-clients.ext -out for-clients.pem 2>/dev/null
    cat for-clients.pem strong.pem >for-clients-chain.pem
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
        ssl_protocols ${protocols:-TLSv1.2 TLSv1.3}; ssl_ciphers DEFAULT:@SECLEVEL=0;
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
bad_chains
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

# bad NAME CODE WORDS: neither `ca check` nor `ca add` takes what nginx shows.
bad() {
    nginx_with "$1-chain.pem" "$1.key" '' ''
    expect 6 "($2)" check --connect "$address"
    expect 6 "$3" check --connect "$address"
    expect 6 "$3" add "$url" --connect "$address" --candidates ../old.pem --yes
}
bad sha1 chain-unsupported 'is signed with `sha1WithRSAEncryption`, which is broken'
bad rsa-1024 chain-unsupported 'its RSA key has 1024 bits, and 2048 are the least'
bad weak-leaf chain-unsupported 'its RSA key has 1024 bits, and 2048 are the least'
bad other-name wrong-name 'not for `updates.test`, but for `other.test`'
bad under-no-ca wrong-purpose 'is no CA certificate'
bad for-clients wrong-purpose 'is not meant for TLS servers'
nginx_with constrained-chain.pem constrained.key '' ''
expect 6 '(name-constraint)' check --connect "$address"
expect 6 'critical extension `2.5.29.30` is unknown' add "$url" --connect "$address" --candidates ../old.pem --yes

nginx_with old-leaf.pem old-server.key '' ''
expect 6 'its chain ends below `O=Test, CN=old Intermediate`' check --connect "$address"
nginx_with new-chain.pem new-server.key '' ''
expect 6 '(release-stranded)' check --connect "$address"
expect 1 'it is too early to switch' plan --new ../new.pem --connect "$address"
expect 1 'with 1.3.0 for esp32c3 would lose the server' plan --new ../new.pem --connect "$address"
expect 6 'no root in Mozilla' add "$url" --connect "$address" --yes
expect 0 'pinned O=Test, CN=new Root' add "$url" --connect "$address" --candidates ../new.pem --yes
expect 0 'days left, in `certs/new-root-' list
expect 0 'pinned already, nothing to do: O=Test, CN=new Root' add "$url" --connect "$address" --candidates ../new.pem --yes
expect 2 'a SHA-256 has 64 hexadecimal digits' add "$url" --connect "$address" --sha256 ab:cd
stop
expect 7 'could not be reached' check --connect "$address"

nginx_answers=$count count=0

# Our own `serve` keeps to what the check asks of others.
mkdir site
cp -r thermostat/dist site/t
"$tool" serve --dir site --host updates.test --bind 127.0.0.1 --port "$port" --color never >serve.log 2>&1 &
nginx_pid=$!
tries=0
until openssl s_client -connect "$address" </dev/null >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { cat serve.log; fail '`serve` does not start'; }
    sleep 0.1
done
file=$(cd site/t && echo targets/*.bin)
for words in 'range: ok: 206 and 416' 'etag: ok: ' 'redirects: ok: none' 'head: ok: ' 'tls: ok: TLS 1.2 and 1.3' 'name: ok: '; do
    expect 0 "$words" check --url "$url" --roots "$XDG_CONFIG_HOME/esp-ota/bench/root.pem" --file "$file" --connect "$address"
done
stop

echo "$nginx_answers answers about nginx and $count about our own server as expected"
