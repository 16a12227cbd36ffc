#!/usr/bin/env bash
# NATS server hears 63 QoS 1 subscriptions of an MQTT client; the others are granted and stay silent
#
# Versions: nats-server 2.9.10 (Debian 12), MQTT 3.1.1, mosquitto-clients 2.0.11.
# Expected: a subscription that the server grants (SUBACK with QoS 1) gets its retained message.
# Happens: every subscription reserves max_ack_pending packet identifiers (1,024 as shipped) of the
#   65,535 that a client has; the 64th and later reserve none. All SUBACKs say granted; the server's
#   log has no line about it. At QoS 0 all come.
# Seen 2026-11-29: 100 exact filters, 100 retained messages: QoS 1 brings 63, QoS 0 100; with
#   max_ack_pending 512 QoS 1 brings 100
# For users: keep the QoS 1 filters of a client below 65,535 / max_ack_pending, or subscribe at QoS 0
#   to what you ask for again anyway.
set -euo pipefail
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; sleep 0.5; rm -rf "$dir"' EXIT
cd "$dir"
chmod 755 .
apt-get download -qq nats-server 2> /dev/null
dpkg -x nats-server_*.deb .
ls nats-server_*.deb

# serve LINE: a server with JetStream and MQTT on ports of its own, with LINE in its mqtt section
serve() {
    [ -z "$server" ] || { kill "$server"; wait "$server" 2> /dev/null || true; }
    read -r port other < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
[s.bind(("127.0.0.1", 0)) for s in sockets]
print(*[s.getsockname()[1] for s in sockets])')
    rm -rf store
    cat > nats.conf << C
server_name: finding
listen: "127.0.0.1:$other"
jetstream { store_dir: "$dir/store" }
mqtt { listen: "127.0.0.1:$port"
$1
}
C
    usr/sbin/nats-server -c nats.conf > server.log 2>&1 &
    server=$!
    for _ in $(seq 50); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then break; fi
        sleep 0.1
    done
    for i in $(seq 100); do echo "$i"; done |
        while read -r i; do mosquitto_pub -h 127.0.0.1 -p "$port" -t "kept/$i" -m "$i" -r -q 1; done
}

# heard QOS: how many of 100 exact filters get their retained message
heard() {
    filters=()
    for i in $(seq 100); do filters+=(-t "kept/$i"); done
    { mosquitto_sub -h 127.0.0.1 -p "$port" "${filters[@]}" -q "$1" -W 4 || true; } | sort -u | wc -l
}

serve ''
shipped=$(heard 1)
at_most_once=$(heard 0)
serve 'max_ack_pending: 512'
fewer=$(heard 1)
echo "100 filters: QoS 1 $shipped, QoS 0 $at_most_once, QoS 1 with max_ack_pending 512 $fewer"
[ "$shipped $at_most_once $fewer" = "63 100 100" ] || { echo "this has changed"; exit 1; }
