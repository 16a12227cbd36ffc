#!/usr/bin/env python3
"""Writes the wire-format vectors in v1/, from the tables in protocol/README.md alone.

Independent of the Rust code: only NumPy and the standard library. Run it after a change of the
format and look at the difference: `python3 tests/vectors/make_vectors.py`.
"""

import hashlib
import hmac
import json
import struct
import zlib
from pathlib import Path

import numpy as np

SCHEMA = 1
PLAN, CLAIM, GO, ACK, VERDICT, CHUNK, TASK, MODEL, UPDATE = 1, 2, 3, 4, 5, 6, 16, 17, 18
OUT = Path(__file__).parent / "v1"


# --- postcard: the few encodings that we use -------------------------------------------------
def varint(n):
    out = bytearray()
    while True:
        byte, n = n & 0x7F, n >> 7
        out.append(byte | (0x80 if n else 0))
        if not n:
            return bytes(out)


def text(s):
    return varint(len(s.encode())) + s.encode()


def f32(x):
    return struct.pack("<f", x)


def seq(items):
    return varint(len(items)) + b"".join(items)


def blob(data):
    return varint(len(data)) + data


def work_ref(lineage, round_id, kind):
    return lineage + varint(round_id) + bytes([kind])


def envelope(kind, body):
    return bytes([SCHEMA, kind]) + body


# --- objects and chunks -----------------------------------------------------------------------
def object_ref(data, chunk_bytes):
    return hashlib.sha256(data).digest() + varint(len(data)) + varint(chunk_bytes)


def chunk(data, chunk_bytes, index):
    part = data[index * chunk_bytes : (index + 1) * chunk_bytes]
    header = hashlib.sha256(data).digest()[:8] + struct.pack("<HII", index, len(data), chunk_bytes)
    crc = zlib.crc32(header + part)
    return envelope(CHUNK, header + struct.pack("<I", crc) + part)


# --- random numbers: SplitMix64 seeds xoshiro256++ ---------------------------------------------
MASK = (1 << 64) - 1


def rotl(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


class Rng:
    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            self.s.append(z ^ (z >> 31))

    def next(self):
        s = self.s
        result = (rotl((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return result

    def unit(self):
        return np.float32(self.next() >> 40) * np.float32(1 / 16777216)


# --- codecs ---------------------------------------------------------------------------------------
def int8_encode(values, block, seed):
    rng, out = Rng(seed), bytearray()
    for start in range(0, len(values), block):
        part = values[start : start + block].astype(np.float32)
        step = np.float32(np.max(np.abs(part)) / np.float32(127))
        out += step.tobytes()
        per_unit = np.float32(1) / step if step >= np.finfo(np.float32).tiny else np.float32(0)
        for value in part:
            code = np.floor(np.float32(value * per_unit) + rng.unit())
            out += struct.pack("b", int(np.clip(code, -127, 127)))
    return bytes(out)


def int8_decode(payload, n, block):
    values, at = [], 0
    for start in range(0, n, block):
        count = min(block, n - start)
        step = np.frombuffer(payload[at : at + 4], "<f4")[0]
        codes = np.frombuffer(payload[at + 4 : at + 4 + count], "i1").astype(np.float32)
        values += list(codes * step)
        at += 4 + count
    return np.array(values, np.float32)


def case(name, data, **expect):
    return {"name": name, "hex": data.hex(), **expect}


def write(name, cases):
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_text(json.dumps(cases, indent=1) + "\n")


def codecs():
    rng = np.random.default_rng(7)
    normal = rng.normal(size=300).astype(np.float32)
    cases = []
    for name, values, block in [
        ("300 normal values in blocks of 256", normal, 256),
        ("5 values in blocks of 2", np.array([1, -1, 0, 0.25, -3], np.float32), 2),
        ("zeros", np.zeros(4, np.float32), 256),
        ("values too small for a step", np.full(3, 1e-42, np.float32), 256),
    ]:
        payload = int8_encode(values, block, seed=42)
        decoded = int8_decode(payload, len(values), block)
        cases.append(
            case(name, payload, codec=1, param=block, seed=42, values=values.tobytes().hex(),
                 decoded=decoded.astype("<f4").tobytes().hex())
        )
    cases.append(case("f32", normal[:5].tobytes(), codec=0, param=0, seed=0,
                      values=normal[:5].tobytes().hex(), decoded=normal[:5].tobytes().hex()))
    good = int8_encode(normal, 256, 42)
    bad = [
        case("int8 one byte short", good[:-1], codec=1, param=256, n=300, error="truncated"),
        case("int8 one byte long", good + b"\0", codec=1, param=256, n=300, error="trailing"),
        case("int8 infinite step", f32(float("inf")) + good[4:], codec=1, param=256, n=300,
             error="invalid"),
        case("f32 not a number", f32(float("nan")), codec=0, param=0, n=1, error="invalid"),
        case("f32 empty", b"", codec=0, param=0, n=1, error="truncated"),
    ]
    write("codecs.json", {"good": cases, "bad": bad})


LINEAGE = bytes(range(16))


def task():
    def channel(name, unit, offset, scale):
        return text(name) + text(unit) + f32(offset) + f32(scale)

    def layer(op, share=0):
        return op + bytes([share])

    conv = bytes([0]) + varint(4) + varint(3)
    relu, pool, dense = bytes([1]), bytes([3]) + varint(2), bytes([4]) + varint(2)
    channels = seq([channel("acc_x", "g", 0.5, 2.0), channel("acc_y", "g", 0.0, 2.0)])
    source = channels + varint(50_000) + varint(10) + varint(5)
    layers = seq([layer(conv), layer(relu), layer(pool, 0), layer(dense, 1)])
    target = bytes([0]) + seq([text("still"), text("walking")])
    body = text("toy") + source + bytes([0]) + layers + target
    return envelope(TASK, body)


def train_work():
    training = varint(2) + varint(32) + f32(0.02) + f32(0.9) + f32(0.0) + f32(0.1) + f32(0.0)
    augment = f32(0.1) + f32(0.2) + varint(3)
    codec = bytes([1]) + varint(256)
    return training + augment + codec + f32(10.0) + f32(4.0)


def plan(work_items, shards=4):
    data = b"m" * 5000
    models = seq([varint(7) + b"\0" + object_ref(data, 4096)])
    body = (
        text("agg-1") + LINEAGE + b"layouthh" + varint(shards) + varint(32768)
        + object_ref(task(), 4096) + models + seq(work_items) + varint(60_000)
    )
    return envelope(PLAN, body)


def work_item(kind, body):
    return varint(3) + varint(7) + varint(1 << 31) + varint(1_900_000) + bytes([kind]) + blob(body)


def messages():
    ref = work_ref(LINEAGE, 3, 1)
    short = hashlib.sha256(b"dunlin").digest()[:8]
    claim = envelope(CLAIM, ref + varint(17) + varint(3) + varint(512) + varint(300))
    go = envelope(GO, ref + b"\0" + varint(1_000_000) + varint(1_900_000))
    no_go = envelope(GO, ref + b"\1" + bytes([3]) + varint(1_000_000) + varint(1_900_000))
    ack = envelope(ACK, short + varint(10) + blob(bytes([0b101, 0b11])))
    accepted = envelope(VERDICT, ref + short + b"\0")
    refused = envelope(VERDICT, ref + short + b"\1" + bytes([13]))
    good_plan = plan([work_item(1, train_work()), work_item(2, b""), work_item(77, b"new")])
    score = varint(20) + varint(15) + f32(9.5)
    header = ref + varint(7) + b"layouthh" + varint(300) + f32(0.5) + score + score
    update = envelope(UPDATE, header + bytes([0]) + varint(0) + varint(42) + f32(1.5) + f32(-2.0))
    nan = ref + varint(7) + b"layouthh" + varint(300) + f32(float("nan")) + score + score
    liar = ref + varint(7) + b"layouthh" + varint(300) + f32(0.5) + varint(2) + varint(3) + f32(1)
    model = envelope(MODEL, varint(7) + b"layouthh" + varint(3) + f32(1) + f32(-0.5) + f32(0))
    good = [
        case("claim", claim, kind="claim"), case("go", go, kind="go"),
        case("no go", no_go, kind="go"), case("ack", ack, kind="ack"),
        case("accepted", accepted, kind="verdict"), case("refused", refused, kind="verdict"),
        case("task", task(), kind="task"), case("plan with unknown work", good_plan, kind="plan"),
        case("update", update, kind="update"), case("model", model, kind="model"),
    ]
    bad_ack = envelope(ACK, short + varint(10) + blob(bytes([0b101, 0b111])))
    flipped = bytearray(chunk(b"x" * 5000, 4096, 1))
    flipped[-1] ^= 1
    lie = envelope(CHUNK, short + struct.pack("<HII", 0, 0xFFFFFFFF, 4096) + b"\0" * 8)
    bad = [
        case("nothing", b"", kind="claim", error="truncated"),
        case("only a schema", b"\1", kind="claim", error="truncated"),
        case("another schema", b"\2" + claim[1:], kind="claim", error="schema"),
        case("another kind", bytes([1, GO]) + claim[2:], kind="claim", error="kind"),
        case("claim cut short", claim[:-1], kind="claim", error="truncated"),
        case("claim with a rest", claim + b"\0", kind="claim", error="trailing"),
        case("claim too long", claim + b"\0" * 9000, kind="claim", error="too_long"),
        case("no such refusal", no_go[: 2 + 18 + 1] + bytes([99]) + no_go[2 + 20 :], kind="go",
             error="malformed"),
        case("ack with bits behind the end", bad_ack, kind="ack", error="invalid"),
        case("ack of no chunks", envelope(ACK, short + varint(0) + blob(b"")), kind="ack",
             error="invalid"),
        case("plan with five work items", plan([work_item(2, b"")] * 5), kind="plan",
             error="invalid"),
        case("plan without shards", plan([], shards=0), kind="plan", error="invalid"),
        case("plan whose training is cut short", plan([work_item(1, train_work()[:-1])]),
             kind="plan", error="truncated"),
        case("update with a loss that is no number", envelope(UPDATE, nan + b"\0\0\0"),
             kind="update", error="invalid"),
        case("update with more hits than windows",
             envelope(UPDATE, liar + score + b"\0\0\0"), kind="update", error="invalid"),
        case("model with fewer values than it says", model[:-1], kind="model", error="truncated"),
        case("model with more values than it says", model + f32(1), kind="model", error="trailing"),
        case("model with infinity",
             envelope(MODEL, varint(7) + b"layouthh" + varint(1) + f32(float("inf"))),
             kind="model", error="invalid"),
        case("chunk with a flipped bit", bytes(flipped), kind="chunk", error="checksum"),
        case("chunk of an object of 4 GiB", lie, kind="chunk", error="invalid"),
        case("chunk behind the end", chunk(b"x" * 5000, 4096, 2), kind="chunk", error="invalid"),
        case("chunk header cut short", chunk(b"x" * 5000, 4096, 0)[:20], kind="chunk",
             error="truncated"),
    ]
    write("messages.json", {"good": good, "bad": bad})


def chunks():
    data = bytes(i * 7 % 251 for i in range(10_000))
    write("chunks.json", {
        "object": data.hex(), "digest": hashlib.sha256(data).hexdigest(), "chunk_bytes": 4096,
        "chunks": [chunk(data, 4096, i).hex() for i in range(3)],
    })


def randomness():
    rng = Rng(42)
    key = bytes(range(32))
    message = b"gait\0" + LINEAGE + struct.pack("<I", 3) + bytes([1])
    tag = hmac.new(key, message, hashlib.sha256).digest()
    fnv = 0x811C9DC5
    for byte in b"wrist-07":
        fnv = ((fnv ^ byte) * 0x01000193) & 0xFFFFFFFF
    write("randomness.json", {
        "seed": 42, "xoshiro256pp": [str(rng.next()) for _ in range(5)],
        "lottery_key": key.hex(), "federation": "gait", "lineage": LINEAGE.hex(), "round": 3,
        "kind": 1, "draw": str(struct.unpack("<Q", tag[:8])[0]),
        "device": "wrist-07", "shards": 16, "shard": fnv % 16,
    })


if __name__ == "__main__":
    codecs()
    messages()
    chunks()
    randomness()
