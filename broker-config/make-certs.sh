#!/bin/sh
# Makes the certificates of one Dunlin installation with openssl.
#
#   make-certs.sh ca                          the authority, once; keep ca.key off the broker
#   make-certs.sh server NAME [NAME|IP ...]   the broker, under every name that clients use for it
#   make-certs.sh device NAME                 a device; NAME is its id
#   make-certs.sh aggregator [NAME]           an aggregator (dunlin-aggregator)
#   make-certs.sh monitor [NAME]              a dashboard (dunlin-monitor)
#   make-certs.sh revoke NAME                 no longer accept a certificate; copy ca.crl again
#
# Files go to the folder CERTS (./certs). DAYS is the life of a certificate (825).
set -eu
umask 077
certs=${CERTS:-certs}
days=${DAYS:-825}

fail() {
    echo "make-certs.sh: $*" >&2
    exit 1
}

# Names are one MQTT topic level, an MQTT client id and a common name: 1 to 64 of [A-Za-z0-9_-].
check_name() {
    case $1 in
        '' | *[!A-Za-z0-9_-]*) fail "'$1' is not a name: letters, digits, '_' and '-' only" ;;
    esac
    [ ${#1} -le 64 ] || fail "'$1' is longer than 64 characters"
}

need_ca() {
    [ -f "$certs/ca.key" ] || fail "there is no $certs/ca.key; run 'make-certs.sh ca' first"
}

new_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}

ca_config() {
    cat >"$certs/ca.cnf" <<EOF
[ca]
default_ca = dunlin
[dunlin]
database = $certs/ca.index
certificate = $certs/ca.crt
private_key = $certs/ca.key
default_md = sha256
EOF
}

# The list has a life as long as the authority's: Mosquitto refuses everybody once it is over.
write_crl() {
    ca_config
    openssl ca -config "$certs/ca.cnf" -gencrl -crldays 7300 -out "$certs/ca.crl" 2>/dev/null ||
        fail "openssl cannot write $certs/ca.crl"
}

make_ca() {
    [ ! -e "$certs/ca.key" ] || fail "$certs/ca.key is there already; a new one would void all others"
    mkdir -p "$certs"
    new_key "$certs/ca.key"
    openssl req -x509 -new -key "$certs/ca.key" -sha256 -days 7300 -subj "/CN=Dunlin authority" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$certs/ca.crt"
    : >"$certs/ca.index"
    write_crl
}

# issue FILE COMMON_NAME USAGE [EXTENSION]
issue() {
    need_ca
    [ ! -e "$certs/$1.key" ] || fail "$certs/$1.key is there already; remove it to make a new one"
    new_key "$certs/$1.key"
    {
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=$3"
        if [ $# -gt 3 ]; then echo "$4"; fi
    } >"$certs/$1.ext"
    openssl req -new -key "$certs/$1.key" -subj "/CN=$2" -out "$certs/$1.csr"
    openssl x509 -req -in "$certs/$1.csr" -CA "$certs/ca.crt" -CAkey "$certs/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -sha256 -days "$days" \
        -extfile "$certs/$1.ext" -out "$certs/$1.crt" 2>/dev/null ||
        fail "openssl cannot sign $certs/$1.csr"
    rm "$certs/$1.csr" "$certs/$1.ext"
    echo "$certs/$1.crt $certs/$1.key"
}

make_server() {
    [ $# -gt 0 ] || fail "server: under which names do clients reach the broker?"
    names=
    for name in "$@"; do
        case $name in
            *[!A-Za-z0-9.:-]*) fail "'$name' is neither a host name nor an address" ;;
            *:* | *[!0-9.]*) kind=DNS ;;
            *) kind=IP ;;
        esac
        case $name in *:*) kind=IP ;; esac
        names="$names${names:+,}$kind:$name"
    done
    issue server "$1" serverAuth "subjectAltName=$names"
}

# A device with the name of a service account would have that account's rights.
make_device() {
    check_name "$1"
    case $1 in dunlin-* | ca | server) fail "device: '$1' is a name of the installation" ;; esac
    issue "$1" "$1" clientAuth
}

# The other way round, no device can get the name of a service account.
make_service() {
    check_name "$1"
    case $1 in dunlin-*) ;; *) fail "'$1' has to begin with 'dunlin-'" ;; esac
    issue "$1" "$1" clientAuth
}

revoke() {
    need_ca
    check_name "$1"
    [ -f "$certs/$1.crt" ] || fail "there is no $certs/$1.crt"
    ca_config
    openssl ca -config "$certs/ca.cnf" -revoke "$certs/$1.crt" 2>/dev/null ||
        fail "openssl cannot revoke $certs/$1.crt; is it revoked already?"
    write_crl
    echo "$certs/ca.crl: copy it to the broker and restart it"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
    ca) make_ca ;;
    server) make_server "$@" ;;
    device) make_device "${1:-}" ;;
    aggregator) make_service "${1:-dunlin-aggregator}" ;;
    monitor) make_service "${1:-dunlin-monitor}" ;;
    revoke) revoke "${1:-}" ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
