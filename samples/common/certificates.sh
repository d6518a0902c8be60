#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes the certificates of the samples that speak TLS, for trying them out: a CA, and a server's and
# a client's certificate that it vouches for, all with keys on the curve P-256.
#
#   certificates.sh FOLDER [NAME...]
#
# NAME  DNS:HOST or IP:ADDRESS that the server's certificate is for, besides the PC's own, QEMU's and
#       those of a TAP interface.
#
# FOLDER gets ca.der, server.der, server.key.der, client.der and client.key.der, and each in PEM too.
# What is there already stays, so that both ends of a connection can share a folder.

set -eu

[ $# -ge 1 ] || { sed -n '/^# *certificates/,/^# *What/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
names=DNS:localhost,IP:127.0.0.1,IP:::1
names=$names,IP:10.0.2.2,IP:10.0.2.15,IP:192.0.2.1,IP:192.0.2.2
for name; do
    names=$names,$name
done

mkdir -p "$folder"
cd "$folder"
[ ! -f client.key.der ] || exit 0

key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key.pem" 2>/dev/null ||
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key.pem"
}

der() { openssl x509 -in "$1.pem" -outform DER -out "$1.der"; }

# certificate NAME SUBJECT EXTENSIONS
certificate() {
    key "$1"
    printf '%s\n' "$3" basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature >extensions
    openssl req -new -key "$1.key.pem" -subj "$2" -out request.pem
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key.pem -CAcreateserial -days 3650 \
        -sha256 -extfile extensions -out "$1.pem" 2>/dev/null
    rm extensions request.pem
    der "$1"
    openssl pkcs8 -topk8 -nocrypt -in "$1.key.pem" -outform DER -out "$1.key.der"
}

key ca
openssl req -x509 -new -key ca.key.pem -sha256 -days 3650 -subj '/CN=Sample CA, for tests alone' \
    -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
der ca
certificate server '/CN=sample server' "subjectAltName=$names
extendedKeyUsage=serverAuth"
certificate client '/CN=sample client' extendedKeyUsage=clientAuth
