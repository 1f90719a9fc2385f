#!/bin/sh
# Makes the chains of this folder anew, with new keys. Needs openssl 3; writes into the current folder.
set -eu
days=36500
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# issue NAME SUBJECT KEY ISSUER DIGEST EXTENSIONS
issue() {
    printf '%s\n' "$6" | tr ';' '\n' >"$work/$1.ext"
    openssl req -new -key "$3" -subj "/CN=$2" -out "$work/$1.csr"
    openssl x509 -req -in "$work/$1.csr" -CA "$work/$4.crt" -CAkey "$work/$4.key" -days $days \
        "-$5" -extfile "$work/$1.ext" -out "$work/$1.crt" 2>/dev/null
}

ca='basicConstraints=critical,CA:TRUE;keyUsage=critical,keyCertSign,cRLSign'
server='basicConstraints=critical,CA:FALSE;keyUsage=critical,digitalSignature;extendedKeyUsage=serverAuth;subjectAltName=DNS:updates.test'

openssl ecparam -genkey -name prime256v1 -noout -out "$work/root.key"
openssl req -x509 -key "$work/root.key" -subj '/CN=Chain Root' -days $days -sha256 \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$work/root.crt"
openssl genrsa -out "$work/weak.key" 1024 2>/dev/null
openssl genrsa -out "$work/strong.key" 2048 2>/dev/null
openssl ecparam -genkey -name prime256v1 -noout | openssl pkcs8 -topk8 -nocrypt -out leaf-key.pem

issue weak 'RSA 1024' "$work/weak.key" root sha256 "$ca"
issue strong 'RSA 2048' "$work/strong.key" root sha256 "$ca"
issue rsa-1024 'leaf' leaf-key.pem weak sha256 "$server"
issue sha1 'leaf' leaf-key.pem strong sha1 "$server"
issue rsa-1024-leaf 'weak leaf' "$work/weak.key" root sha256 "$server"

cp "$work/root.crt" root.pem
cat "$work/rsa-1024.crt" "$work/weak.crt" >rsa-1024.pem
cat "$work/sha1.crt" "$work/strong.crt" >sha1.pem
cp "$work/rsa-1024-leaf.crt" rsa-1024-leaf.pem
