#!/usr/bin/env bash
# Over TLS, a publication just above 16 KiB takes mosquitto_pub 45 ms, one just below takes 1
#
# Versions: Mosquitto and mosquitto-clients 2.0.11, OpenSSL 3.0 (Debian 12), loopback.
# Expected: time grows with size; the broker's `set_tcp_nodelay true` is what cures delays by Nagle.
# Happens: up to 16 KiB a publication is one TLS record and leaves in one write. Above, the short last
#   record waits for an acknowledgement that the peer delays (40 ms). The sender's Nagle is to blame,
#   so the broker's option changes nothing; the client's `--nodelay` cures it.
# Seen 2026-11-28, 50 publications of QoS 1, each after the acknowledgement of the one before:
#   15000 bytes: 58 ms; 17000 bytes: 2416 ms; 17000 bytes, --nodelay: 57 ms
#   the broker with set_tcp_nodelay true: 17000 bytes: 2255 ms
#   (checked: slow means more than ten times the time of 15000 bytes)
# For users: test chunk sizes over TLS, not over plain TCP, where the step does not show. Set
#   TCP_NODELAY at every sender; libraries with it off by default (rumqttc 0.25.1) are alike.
set -euo pipefail
dpkg-query -W mosquitto mosquitto-clients || apt-get install -qq -y mosquitto mosquitto-clients
dir=$(mktemp -d)
pid=''
trap '[ -z "$pid" ] || kill "$pid" 2> /dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
export PATH=$PATH:/usr/sbin
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key -out cert 2> /dev/null
chmod 755 .
chmod 644 key cert

# start NODELAY: a fresh broker with TLS on a free port
start() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf '%s\n' "set_tcp_nodelay $1" "listener $port 127.0.0.1" 'allow_anonymous true' \
        "certfile $dir/cert" "keyfile $dir/key" > conf
    mosquitto -c conf > log 2>&1 &
    pid=$!
    until grep -q running log; do sleep 0.1; done
}

# took BYTES [OPTION]: milliseconds for 50 publications
took() {
    head -c "$1" /dev/zero | tr '\0' x > payload
    local start=${EPOCHREALTIME/./}
    mosquitto_pub -h localhost -p "$port" --cafile cert -q 1 -t t -f payload --repeat 50 ${2:-}
    echo $(((${EPOCHREALTIME/./} - start) / 1000))
}

start false
below=$(took 15000)
above=$(took 17000)
cured=$(took 17000 --nodelay)
echo "15000 bytes: $below ms; 17000 bytes: $above ms; 17000 bytes, --nodelay: $cured ms"
kill "$pid"
start true
broker=$(took 17000)
echo "the broker with set_tcp_nodelay true: 17000 bytes: $broker ms"

limit=$((10 * below))
for slow in "$above" "$broker"; do
    [ "$slow" -gt "$limit" ] || { echo "changed: $slow ms is no more than ten times $below"; exit 1; }
done
[ "$cured" -lt "$limit" ] || { echo "changed: --nodelay takes $cured ms"; exit 1; }
echo 'unchanged'
