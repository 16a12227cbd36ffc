#!/usr/bin/env bash
# RabbitMQ publishes the last will of a silent client after three keep-alives, not after one and a half
#
# Versions: RabbitMQ 3.10.8 with rabbitmq_mqtt, Erlang 25.2 (Debian 12), MQTT 3.1.1.
# Expected: MQTT 3.1.1 (3.1.2.10) has the server drop a client that said nothing for one and a half
#   times its keep-alive.
# Happens: the client is dropped, and its will published, after exactly three times.
# Seen 2026-11-28: keep-alive 2 s: will after 6.0 s; keep-alive 4 s: will after 12.0 s
#   (checked: between 2.5 and 3.5 times)
# For users: with a keep-alive of 60 s a device that lost power counts as online for three minutes.
#   Choose the keep-alive for RabbitMQ half as long as for other brokers, and put deadlines of your
#   own on answers.
set -euo pipefail
dir=$(mktemp -d)
started=()
trap 'for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2> /dev/null || true; done; sleep 2; rm -rf "$dir"' EXIT
cd "$dir"
chmod 755 .

# Broker and Erlang out of their packages, without installing them.
packages=(rabbitmq-server)
for part in base asn1 crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools snmp \
    ssl syntax-tools tftp tools xmerl; do packages+=("erlang-$part"); done
apt-get download -qq "${packages[@]}" 2> /dev/null
for package in *.deb; do dpkg -x "$package" .; done
ls rabbitmq-server_*.deb erlang-base_*.deb
erlang=$dir/usr/lib/erlang
sed -i "s#/usr/lib/erlang#$erlang#g" "$erlang/bin/erl"

# Erlang's name server, on a port that nobody took meanwhile.
for _ in 1 2 3; do
    read -r mqtt epmd node < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
[s.bind(("127.0.0.1", 0)) for s in sockets]
print(*[s.getsockname()[1] for s in sockets])')
    "$erlang"/erts-*/bin/epmd -address 127.0.0.1 -port "$epmd" > /dev/null 2>&1 &
    started+=($!)
    sleep 1
    if kill -0 "$!" 2> /dev/null; then break; fi
done
printf '%s\n' 'listeners.tcp = none' "mqtt.listeners.tcp.1 = 127.0.0.1:$mqtt" > rabbit.conf
echo '[rabbitmq_mqtt].' > plugins
export PATH=$erlang/bin:$PATH HOME=$dir ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd
export RABBITMQ_CONFIG_FILE=$dir/rabbit.conf RABBITMQ_ENABLED_PLUGINS_FILE=$dir/plugins
export RABBITMQ_MNESIA_BASE=$dir/store RABBITMQ_LOG_BASE=$dir/logs RABBITMQ_CONF_ENV_FILE=$dir/none
export RABBITMQ_NODENAME=probe@localhost RABBITMQ_DIST_PORT=$node
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server > log 2>&1 &
started+=($!)
for _ in $(seq 90); do
    if (: > "/dev/tcp/127.0.0.1/$mqtt") 2> /dev/null; then break; fi
    sleep 1
done

python3 - "$mqtt" <<'EOF'
import socket, struct, sys, time

def connect(name, keep_alive, will=b""):
    client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    body = b"\0\4MQTT\4" + bytes([6 if will else 2]) + struct.pack(">H", keep_alive)
    body += struct.pack(">H", len(name)) + name + will
    client.sendall(b"\x10" + bytes([len(body)]) + body)
    assert client.recv(4) == b"\x20\2\0\0"
    return client

reader = connect(b"reader", 0)
reader.sendall(b"\x82\x0a\0\1\0\5state\0")
assert reader.recv(5) == b"\x90\3\0\1\0"
reader.settimeout(30)
changed = False
for keep_alive in (2, 4):
    silent = connect(b"silent", keep_alive, b"\0\5state\0\4lost")
    start = time.monotonic()
    assert reader.recv(13) == b"\x30\x0b\0\5statelost"
    waited = time.monotonic() - start
    changed |= not 2.5 < waited / keep_alive < 3.5
    print(f"keep-alive {keep_alive} s: will after {waited:.1f} s")
print("changed: it was three times the keep-alive" if changed else "unchanged")
sys.exit(changed)
EOF
