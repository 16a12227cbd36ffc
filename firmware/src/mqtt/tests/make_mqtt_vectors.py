#!/usr/bin/env python3
"""Writes mqtt.txt: packets of MQTT 3.1.1, made without the Rust code.

What a client sends is recorded from Eclipse Paho, which talks to a socket of this script. What a
broker sends is packed by hand from the standard, and Paho has to take it. Each line is a name and
the bytes in hexadecimal. Run it again after a change: `pip install paho-mqtt`, then
`python3 make_mqtt_vectors.py`.
"""

import socket
import struct
from pathlib import Path

import paho.mqtt.client as paho

OUT = Path(__file__).parent / "mqtt.txt"
CLIENT_ID, TOPIC, WILL_TOPIC = "wrist-1", "dunlin/v1/fed/gait/up/0", "dunlin/v1/dev/wrist-1"
LONG = bytes(n % 251 for n in range(300))


# --- what a broker sends, by the tables of the standard --------------------------------------
def packet(first, body):
    length, fields, n = len(body), bytearray(), len(body)
    while True:
        n, seven = n >> 7, n & 0x7F
        fields.append(seven | (0x80 if n else 0))
        if not n:
            break
    assert length < 1 << 28
    return bytes([first]) + bytes(fields) + body


def message(topic, payload, qos=0, packet_id=None, again=False, retained=False):
    first = 0x30 | again << 3 | qos << 1 | retained
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name
    if qos:
        body += struct.pack(">H", packet_id)
    return packet(first, body + payload)


def connack(code):
    return packet(0x20, bytes([0, code]))


def ack(first, packet_id, codes=b""):
    return packet(first, struct.pack(">H", packet_id) + codes)


BROKER = {
    "connack": connack(0),
    "connack_bad_credentials": connack(4),
    "connack_not_authorized": connack(5),
    "connack_unavailable": connack(3),
    "puback_1": ack(0x40, 1),
    "suback_2": ack(0x90, 2, b"\x01"),
    "suback_2_refused": ack(0x90, 2, b"\x80"),
    "unsuback_3": ack(0xB0, 3),
    "pingresp": packet(0xD0, b""),
    "message_qos0": message("a/b", b"hello"),
    "message_qos1": message("a/b", b"hello", 1, 0x1234),
    "message_qos1_again_retained": message("a/b", LONG, 1, 0x1234, True, True),
    "message_empty": message("ä/b", b"", 1, 7),
    "message_qos2": message("a/b", b"hello", 2, 9),
}


# --- what a client sends, recorded -----------------------------------------------------------
class Recorder:
    """A broker's end of one connection that keeps what Paho writes."""

    def __init__(self, account):
        listener = socket.create_server(("127.0.0.1", 0))
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, CLIENT_ID, clean_session=True, protocol=paho.MQTTv311
        )
        self.client.will_set(WILL_TOPIC, b"\x01gone", qos=1, retain=True)
        if account:
            self.client.username_pw_set("wrist", "secret")
        self.seen, self.refused = [], []
        self.client.on_message = lambda _c, _u, m: self.seen.append((m.topic, bytes(m.payload)))
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.refused.extend(
            code.is_failure for code in codes
        )
        self.client.connect("127.0.0.1", listener.getsockname()[1], keepalive=60)
        self.stream, _ = listener.accept()
        listener.close()

    def written(self):
        self.client.loop_write()
        self.stream.settimeout(0.2)
        out = b""
        try:
            while part := self.stream.recv(65536):
                out += part
        except TimeoutError:
            pass
        return out

    def answer(self, *packets):
        self.stream.sendall(b"".join(packets))
        for _ in range(3):
            assert self.client.loop_read(8) == paho.MQTT_ERR_SUCCESS


def record():
    bare = Recorder(account=False)
    out = {"connect": bare.written()}
    paho_side = Recorder(account=True)
    out["connect_account"] = paho_side.written()
    paho_side.answer(BROKER["connack"])
    assert paho_side.client.is_connected()
    paho_side.client.publish(TOPIC, b"\x00\x01update", qos=1)
    out["publish_1"] = paho_side.written()
    paho_side.answer(BROKER["puback_1"])
    paho_side.client.subscribe("dunlin/v1/fed/+/plan", qos=1)
    out["subscribe_2"] = paho_side.written()
    paho_side.answer(BROKER["suback_2"])
    paho_side.client.unsubscribe("dunlin/v1/fed/+/plan")
    out["unsubscribe_3"] = paho_side.written()
    paho_side.answer(BROKER["unsuback_3"])
    paho_side.client.publish(TOPIC, LONG, qos=1, retain=True)
    out["publish_4_retained_long"] = paho_side.written()
    paho_side.answer(BROKER["message_qos1"])
    out["puback_1234"] = paho_side.written()
    paho_side.answer(BROKER["message_qos0"], BROKER["message_qos1_again_retained"])
    paho_side.answer(BROKER["message_empty"])
    paho_side.written()
    assert paho_side.seen == [("a/b", b"hello")] * 2 + [("a/b", LONG), ("ä/b", b"")]
    assert paho_side.refused == [False]
    paho_side.client._send_pingreq()
    out["pingreq"] = paho_side.written()
    paho_side.answer(BROKER["pingresp"])
    paho_side.client.disconnect()
    out["disconnect"] = paho_side.written()
    return out


if __name__ == "__main__":
    lines = [f"client_{name} {data.hex()}" for name, data in record().items()]
    lines += [f"broker_{name} {data.hex()}" for name, data in BROKER.items()]
    OUT.write_text("\n".join(lines) + "\n")
