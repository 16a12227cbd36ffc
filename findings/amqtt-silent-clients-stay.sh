#!/usr/bin/env bash
# amqtt never drops a silent client and leaves the old connection open when a client id comes again
#
# Versions: amqtt 0.12.1 (PyPI), Python 3.11, MQTT 3.1.1.
# Expected: MQTT 3.1.1 has the server close a connection after one and a half keep-alives of silence
#   (3.1.2.10), close the first of two connections with one client id (3.1.4-2), and publish the
#   will in both cases.
# Happens: neither; both connections stay open, and no will comes. An abrupt close does bring it.
# Seen 2026-11-28:
#   silent for six keep-alives: open, will: none
#   same client id again: old connection open, will: none
#   socket closed without DISCONNECT: will: lost
# For users: as an embedded broker for tests it hides what a device that lost power looks like.
#   Presence by last will must be tested on another broker.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check amqtt==0.12.1
cat > probe.py <<'EOF'
import asyncio, logging, socket, struct, sys
from amqtt.broker import Broker

def connect(port, name, keep_alive, will=b""):
    client = socket.create_connection(("127.0.0.1", port))
    body = b"\0\4MQTT\4" + bytes([6 if will else 2]) + struct.pack(">H", keep_alive)
    body += struct.pack(">H", len(name)) + name + will
    client.sendall(b"\x10" + bytes([len(body)]) + body)
    assert client.recv(4) == b"\x20\2\0\0"
    return client

def heard(client, seconds):
    """What comes within this time: bytes, b"" for a closed connection, None for nothing."""
    client.settimeout(seconds)
    try:
        return client.recv(100)
    except TimeoutError:
        return None

def state(client):
    return "closed" if heard(client, 0.5) == b"" else "open"

def will(reader):
    return (heard(reader, 1) or b"none")[-4:].decode()

def watch(port):
    reader = connect(port, b"reader", 60)
    reader.sendall(b"\x82\x0a\0\1\0\5state\0")
    assert reader.recv(5) == b"\x90\3\0\1\0"
    message = b"\0\5state\0\4lost"
    silent = connect(port, b"silent", 1, message)
    while_silent = heard(silent, 6)
    print(f"silent for six keep-alives: {'closed' if while_silent == b'' else 'open'}, will: {will(reader)}")
    first = connect(port, b"twice", 60, message)
    second = connect(port, b"twice", 60, message)
    print(f"same client id again: old connection {state(first)}, will: {will(reader)}")
    third = connect(port, b"third", 60, message)
    third.close()
    print(f"socket closed without DISCONNECT: will: {will(reader)}")

async def main():
    logging.disable(logging.CRITICAL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    login = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
    broker = Broker({"listeners": listeners, "plugins": login})
    await broker.start()
    await asyncio.to_thread(watch, port)
    await broker.shutdown()

asyncio.run(asyncio.wait_for(main(), 60))
EOF
seen=$(env/bin/python probe.py 2> errors) || { tail -n 5 errors; exit 1; }
expected='silent for six keep-alives: open, will: none
same client id again: old connection open, will: none
socket closed without DISCONNECT: will: lost'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'
