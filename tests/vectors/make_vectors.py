#!/usr/bin/env python3
"""Writes the wire-format vectors in v2/, from the tables in protocol/README.md alone.

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

from codecs_numpy import Rng, decode, encode, seeds_of_delta, seeds_of_update

SCHEMA = 2
PLAN, CLAIM, GO, ACK, VERDICT, CHUNK, SIGNED, GAVE_UP = 1, 2, 3, 4, 5, 6, 7, 8
TASK, MODEL, UPDATE, DELTA, SEEDED = 16, 17, 18, 19, 20
OUT = Path(__file__).parent / "v2"


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


def extensions(*pairs):
    return seq([bytes([number]) + blob(data) for number, data in pairs])


def envelope(kind, body):
    return bytes([SCHEMA, kind]) + body


# --- objects and chunks -----------------------------------------------------------------------
def object_ref(data, chunk_bytes):
    return hashlib.sha256(data).digest() + varint(len(data)) + varint(chunk_bytes)


def chunk(data, chunk_bytes, index):
    part = data[index * chunk_bytes : (index + 1) * chunk_bytes]
    header = hashlib.sha256(data).digest()[:8] + struct.pack(
        "<HIB", index, len(data), chunk_bytes // 1024)
    crc = zlib.crc32(header + part)
    return envelope(CHUNK, header + struct.pack("<I", crc) + part)


# --- codecs ---------------------------------------------------------------------------------------
def case(name, data, **expect):
    return {"name": name, "hex": data.hex(), **expect}


def write(name, cases):
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_text(json.dumps(cases, indent=1) + "\n")


def vectors(rng):
    """Named vectors of many kinds."""
    lone, runs = np.zeros(100), np.zeros(200)
    lone[33] = 5
    runs[[3, 4, 150]] = [900, -20, 1]
    named = {
        "one value": [0.7], "five values": [1, -1, 0, 0.25, -3], "zeros": [0] * 4,
        "values too small for a step": [1e-42] * 3, "a lone value": lone,
        "a few large values": runs, "63 normal": rng.normal(size=63),
        "64 normal": rng.normal(size=64), "300 normal": rng.normal(size=300),
        "300 heavy tailed": rng.standard_t(3, size=300),
        "300 tiny steps": rng.normal(size=300) * 1e-20,
    }
    return {name: np.array(values, np.float32) for name, values in named.items()}


CODECS = [
    (0, 0, 0), (1, 256, 0), (1, 2, 0), (2, 0, 0.0625), (2, 0, 0.5), (2, 0, 3), (2, 0, 16),
    (3, 1, 0), (3, 2, 0), (3, 4, 0), (4, 2, 0.5), (4, 4, 0.25), (4, 8, 0.01), (4, 16, 0.001),
    (5, 10, 1), (5, 1, 3),
]


def codecs():
    rng = np.random.default_rng(7)
    who = {"device": "wrist-07", "lineage": LINEAGE.hex(), "round": 3, "kind": 1}
    seeds = seeds_of_update(b"wrist-07", LINEAGE, 3, 1)
    def named(spec):
        return dict(zip(("codec", "param", "scale"), spec))

    def good(name, spec, values):
        payload = encode(spec, values, seeds, noise=42)
        decoded = decode(spec, payload, len(values), seeds)
        return case(f"{name}, codec {spec}", payload, **named(spec), noise=42,
                    values=values.astype("<f4").tobytes().hex(),
                    decoded=decoded.astype("<f4").tobytes().hex())

    cases = [good(name, spec, values)
             for name, values in vectors(rng).items() for spec in CODECS]
    long = rng.normal(size=1000).astype(np.float32)
    cases += [good("1000 normal", spec, long) for spec in [(2, 0, 3), (3, 1, 0), (5, 10, 3)]]
    normal = vectors(np.random.default_rng(7))["300 normal"]

    def bad(name, spec, data, error, n=300):
        return case(name, data, **named(spec), n=n, error=error)

    def made(spec):
        return encode(spec, normal, seeds, noise=42)

    def with_head(spec, head):
        return f32(head) + made(spec)[4:]

    inf, nan = float("inf"), float("nan")
    ecdq, eden, uniform, sparse = (2, 0, 3), (3, 2, 0), (4, 4, 0.25), (5, 10, 1)
    write("codecs.json", {"who": who, "seeds": {k: str(v) for k, v in seeds.items()},
                          "good": cases, "bad": [
        bad("int8 one byte short", (1, 256, 0), made((1, 256, 0))[:-1], "truncated"),
        bad("int8 one byte long", (1, 256, 0), made((1, 256, 0)) + b"\0", "trailing"),
        bad("int8 infinite step", (1, 256, 0), with_head((1, 256, 0), inf), "invalid"),
        bad("f32 not a number", (0, 0, 0), f32(nan), "invalid", n=1),
        bad("f32 empty", (0, 0, 0), b"", "truncated", n=1),
        bad("ecdq empty", ecdq, b"", "truncated"),
        bad("ecdq without its step", ecdq, b"\0\0\0", "truncated"),
        bad("ecdq without its code", ecdq, made(ecdq)[:4] + b"\x80", "truncated"),
        bad("ecdq with bytes behind its code", ecdq, made(ecdq) + b"\1" * 9, "trailing"),
        bad("ecdq infinite step", ecdq, with_head(ecdq, inf), "invalid"),
        bad("ecdq negative step", ecdq, with_head(ecdq, -1.0), "invalid"),
        bad("ecdq step that is no number", ecdq, with_head(ecdq, nan), "invalid"),
        bad("ecdq step of zero with a code", ecdq, with_head(ecdq, 0.0), "trailing"),
        bad("ecdq longer than its budget", (2, 20, 0), made(ecdq), "trailing"),
        bad("ecdq longer than plain numbers", ecdq, made(ecdq) + b"\1" * 2000, "trailing"),
        bad("eden one byte short", eden, made(eden)[:-1], "truncated"),
        bad("eden one byte long", eden, made(eden) + b"\0", "trailing"),
        bad("eden infinite scale", eden, with_head(eden, inf), "invalid"),
        bad("eden bits behind the last code", (3, 1, 0), f32(1) + b"\x04", "invalid", n=2),
        bad("uniform one byte short", uniform, made(uniform)[:-1], "truncated"),
        bad("uniform one byte long", uniform, made(uniform) + b"\0", "trailing"),
        bad("uniform code below its range", uniform, b"\x08" + made(uniform)[1:], "invalid"),
        bad("uniform bits behind the last code", uniform, b"\x10", "invalid", n=1),
        bad("sparse empty", sparse, b"", "truncated"),
        bad("sparse infinite step", sparse, with_head(sparse, inf), "invalid"),
        bad("sparse with bytes behind its code", sparse, made(sparse) + b"\1" * 9, "trailing"),
    ]})


DELTA_BASE = np.array([0.5, -0.25, 1.0, 0.0, 2.0, -1.5, 0.125, 65504.0], np.float16)


def delta(base, layout, base_version, codec_id=2):
    """The delta object of a fixed difference, and the parameters that result, as f16."""
    step = np.array([0.01, -0.02, 0.03, 0.001, 0, -0.01, 0.02, 100.0], np.float32)
    seeds = seeds_of_delta(layout, base_version + 1)
    payload = encode((2, 0, 0.5), step, seeds, noise=0)
    sums = base.astype(np.float32) + decode((2, 0, 0.5), payload, len(step), seeds)
    result = np.clip(sums, -65504, 65504).astype(np.float16)
    head = (varint(base_version + 1) + varint(base_version) + layout + bytes([codec_id]) + varint(0)
            + f32(0.5) + hashlib.sha256(result.astype("<f2").tobytes()).digest()[:8])
    return envelope(DELTA, head + payload), result


def deltas():
    data, result = delta(DELTA_BASE, b"layouthh", 7)
    write("deltas.json", {
        "layout": b"layouthh".hex(), "base": DELTA_BASE.astype("<f2").tobytes().hex(),
        "object": data.hex(), "version": 8, "result": result.astype("<f2").tobytes().hex(),
    })


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
    codec = bytes([1]) + varint(256) + f32(0.0)
    return training + augment + codec + f32(10.0) + f32(4.0)


def task_digest(offset=0.5, unit="g", labels=("still", "walking"), rate=50_000):
    """What the numbers of `task()` mean: everything in it but its name and hop."""
    channels = seq([text("acc_x") + text(unit) + f32(offset) + f32(2.0),
                    text("acc_y") + text("g") + f32(0.0) + f32(2.0)])
    layers = seq([bytes([0]) + varint(4) + varint(3) + b"\0", bytes([1, 0]),
                  bytes([3]) + varint(2) + b"\0", bytes([4]) + varint(2) + b"\1"])
    target = bytes([0]) + seq([text(label) for label in labels])
    meaning = channels + varint(rate) + varint(10) + bytes([0]) + layers + target
    return hashlib.sha256(b"dunlin task\0" + meaning).hexdigest()


def value_task(rate=(0, 1, 900 * 10**9), target=None, schema=3, window=4, outputs=1):
    """A task of two channels with a rate in mHz, or 0 and its ratio; schema 3 where 2 cannot say it."""
    def channel(name, unit, offset, scale):
        return text(name) + text(unit) + f32(offset) + f32(scale)

    channels = seq([channel("glucose", "mg/dL", 140.0, 0.02), channel("insulin", "U", 0.0, 1.0)])
    target = steps_target() if target is None else target
    layers = seq([bytes([4]) + varint(outputs) + b"\0"])
    exact = b"".join(varint(part) for part in rate[1:])
    body = (text("cgm") + channels + varint(rate[0]) + varint(window) + varint(1) + bytes([0])
            + layers + target + exact)
    meaning = channels + varint(rate[0]) + varint(window) + bytes([0]) + layers + target + exact
    digest = hashlib.sha256(b"dunlin task\0" + meaning).hexdigest()
    return bytes([schema, TASK]) + body, digest


def steps_target(steps=1, channels=("glucose",)):
    return bytes([4]) + varint(steps) + seq([text(name) for name in channels])


def values_target(name="rul", scale=0.01):
    return bytes([3]) + seq([text(name) + text("cycles") + f32(100.0) + f32(scale)])


FORECAST = bytes([2])


def value_tasks():
    """Name, object and digest of tasks that are slow, or ask for values or several steps."""
    slow, fast = (0, 1, 900 * 10**9), (50_000,)
    named = {
        "forecast every 15 minutes": value_task(slow, FORECAST, outputs=2),
        "forecast at three samples in 0.35 s": value_task((0, 3, 350 * 10**6), FORECAST, outputs=2),
        "forecast once a month": value_task((0, 1, 2_629_746 * 10**9), FORECAST, outputs=2),
        "values": value_task(fast, values_target()),
        "values every 15 minutes": value_task(slow, values_target()),
        "three steps of all channels": value_task(fast, steps_target(3, ()), outputs=6),
        "a forecast of schema 2": value_task((1,), FORECAST, schema=2, outputs=2),
    }
    return [(name, *made) for name, made in named.items()]


def bad_value_tasks():
    slow, fast = (0, 1, 900 * 10**9), (50_000,)
    good = value_task(slow, FORECAST, outputs=2)[0]
    return [
        case("slow task of schema 2", value_task(slow, FORECAST, 2, outputs=2)[0], kind="task",
             error="invalid"),
        case("values of schema 2", value_task(fast, values_target(), 2)[0], kind="task",
             error="invalid"),
        case("plain forecast of schema 3", value_task(fast, FORECAST, outputs=2)[0], kind="task",
             error="invalid"),
        case("task of schema 4", value_task(slow, FORECAST, 4, outputs=2)[0], kind="task",
             error="schema"),
        case("claim of schema 3", b"\3" + envelope(CLAIM, b"\0")[1:], kind="claim", error="schema"),
        case("rate not in lowest terms",
             value_task((0, 2, 1800 * 10**9), FORECAST, outputs=2)[0], kind="task",
             error="malformed"),
        case("exact rate of whole millihertz",
             value_task((0, 1, 20 * 10**6), FORECAST, outputs=2)[0], kind="task",
             error="malformed"),
        case("no samples in a second", value_task((0, 0, 10**9), FORECAST, outputs=2)[0],
             kind="task", error="malformed"),
        case("a sample in 367 days",
             value_task((0, 1, 367 * 86_400 * 10**9), FORECAST, outputs=2)[0], kind="task",
             error="invalid"),
        case("exact rate cut short", good[:-1], kind="task", error="truncated"),
        case("slow task with a rest", good + b"\0", kind="task", error="trailing"),
        case("forecast of no step", value_task(fast, steps_target(0))[0], kind="task",
             error="invalid"),
        case("forecast of a whole window", value_task(fast, steps_target(4), outputs=4)[0],
             kind="task", error="invalid"),
        case("forecast of a channel that is none", value_task(fast, steps_target(1, ("x",)))[0],
             kind="task", error="invalid"),
        case("value that is an input", value_task(fast, values_target("glucose"))[0], kind="task",
             error="invalid"),
        case("value with a scale of 0", value_task(fast, values_target(scale=0.0))[0], kind="task",
             error="invalid"),
        case("no such target", value_task(fast, bytes([5]))[0], kind="task", error="malformed"),
    ]


def fits():
    """Errors of several devices: sums of each as they are reported, figures of all pooled."""
    rng = np.random.default_rng(14)
    offset, scale, steps = 140.0, 0.02, 3
    devices, pooled = [], []
    for count in (4, 1, 7):
        said = rng.normal(size=(count, steps)).astype(np.float32)
        true = (said + 0.3 * rng.normal(size=(count, steps))).astype(np.float32)
        last = rng.normal(size=count).astype(np.float32)
        sums = [0.0] * 5
        for window in range(count):
            for step in range(steps):
                s, t, x = (float(v) for v in (said[window, step], true[window, step], last[window]))
                for at, add in enumerate(
                        [(s - t) * (s - t), abs(s - t), (x - t) * (x - t), t, t * t]):
                    sums[at] += add
        numbers = [round(total * 2**32) for total in sums]
        pooled.append((said.astype(np.float64), true.astype(np.float64), last.astype(np.float64)))
        devices.append({
            "windows": count, "said": said.astype("<f4").tobytes().hex(),
            "true": true.astype("<f4").tobytes().hex(), "last": last.astype("<f4").tobytes().hex(),
            "sums": [str(number) for number in numbers], "extension": integers(numbers).hex(),
        })
    said, true = (np.concatenate([part[at] for part in pooled]) for at in (0, 1))
    last = np.concatenate([part[2] for part in pooled])[:, None]
    said, true, last = (offset + part / np.float64(np.float32(scale)) for part in (said, true, last))
    write("fits.json", {
        "task": value_task((0, 1, 300 * 10**9), steps_target(steps), window=15, outputs=steps)[0].hex(),
        "devices": devices, "mse": float(np.mean((said - true) ** 2)),
        "mae": float(np.mean(np.abs(said - true))),
        "r2": float(1 - np.sum((said - true) ** 2) / np.sum((true - true.mean()) ** 2)),
        "repeated_mse": float(np.mean((last - true) ** 2)),
    })


def sums_work(bits=12, most=16.0, edges=(-1.0, 0.0, 1.0), channels=(0, 1)):
    def channel(number):
        return bytes([number, bits]) + f32(most) + seq([f32(edge) for edge in edges])

    return b"\1" + seq([channel(number) for number in channels])


def integers(values):
    """Whole numbers as zigzag varints."""
    return b"".join(varint(2 * v if v >= 0 else -2 * v - 1) for v in values)


def plan(work_items, shards=4, more=b"\0"):
    data = b"m" * 5000
    models = seq([varint(7) + b"\0" + object_ref(data, 4096)])
    body = (
        text("agg-1") + LINEAGE + varint(1 << 40) + b"layouthh" + varint(shards) + varint(32768)
        + object_ref(task(), 4096) + models + seq(work_items) + varint(60_000) + more
    )
    return envelope(PLAN, body)


def work_item(kind, body, more=b"\0"):
    head = varint(3) + varint(7) + varint(1 << 31) + varint(1_900_000)
    return head + bytes([kind]) + blob(body) + more


def presence(state, boot, connection=0, call=0, held=None, data=None):
    """One JSON object without spaces; what is 0 or missing is left out."""
    fields = {"state": state, "boot": boot, "schema": SCHEMA, "connection": connection,
              "call": call, "held": held, "data": data}
    said = {name: value for name, value in fields.items() if value}
    return json.dumps(said, separators=(",", ":")).encode()


def messages():
    ref = work_ref(LINEAGE, 3, 1)
    short = hashlib.sha256(b"dunlin").digest()[:8]
    claimed = ref + varint(17) + varint(3) + varint(512) + varint(300)
    times = varint(1_000_000) + varint(1_900_000)
    claim = envelope(CLAIM, claimed + b"\0")
    go = envelope(GO, ref + b"\0" + times + b"\0")
    no_go = envelope(GO, ref + b"\1" + bytes([3]) + times + b"\0")
    more = extensions((1, b"new"), (2, b""), (127, b"x" * 1024))
    needed = extensions((3, b""), (128, b"masked"))
    crowd = extensions(*[(number, b"") for number in range(9)])
    signed = envelope(SIGNED, b"key-id-0" + varint(5) + blob(claim) + b"s" * 64)
    ack = envelope(ACK, short + varint(10) + blob(bytes([0b101, 0b11])))
    accepted = envelope(VERDICT, ref + short + b"\0")
    refused = envelope(VERDICT, ref + short + b"\1" + bytes([13]))
    gave_up = ref + bytes([1]) + text("the training diverged after 1 step") + b"\0"
    lacking = {"cut": 18_000, "time": 619, "off_rate": 2, "windows": 0}
    good_plan = plan([work_item(1, train_work()), work_item(2, b""), work_item(77, b"new")])
    def tag(kind):
        return (LINEAGE[:4] + varint(3) + bytes([kind]) + varint(7)
                + bytes.fromhex(task_digest())[:4] + bytes([0]))

    def metrics(*figures):
        return b"".join(varint(figure) for figure in figures)

    loss = round(9.5 * 65536)
    trained = metrics(300, round(0.5 * 300 * 65536), 20, 15, loss, 20, 16, loss)
    payload = f32(1.5) + f32(-2.0)
    update = envelope(UPDATE, tag(1) + trained + b"\0" + payload)
    evaluation = envelope(UPDATE, tag(2) + metrics(20, 15, loss) + b"\0")
    sums = envelope(UPDATE, tag(3) + metrics(2) + b"\0" + integers([2, 1, -7, 1 << 100]))
    liar = metrics(300, 0, 2, 3, 0, 0, 0, 0)
    wild = metrics(300, (1 << 42) + 1, 0, 0, 0, 0, 0, 0)
    named = varint(7) + b"layouthh"
    model = envelope(MODEL, named + b"\0" + varint(3) + f32(1) + f32(-0.5) + f32(0))
    half = envelope(MODEL, named + b"\1" + varint(3) + struct.pack("<eee", 1, -0.5, 0.1))
    seeded = envelope(SEEDED, named + varint(1 << 40) + short)
    good = [
        case("claim", claim, kind="claim"), case("go", go, kind="go"),
        case("no go", no_go, kind="go"), case("ack", ack, kind="ack"),
        case("accepted", accepted, kind="verdict"), case("refused", refused, kind="verdict"),
        case("gave up", envelope(GAVE_UP, gave_up), kind="gave_up"),
        case("gave up without a word", envelope(GAVE_UP, ref + b"\0\0\0"), kind="gave_up"),
        case("gave up with extensions", envelope(GAVE_UP, gave_up[:-1] + more), kind="gave_up"),
        case("gave up with 120 characters of two bytes",
             envelope(GAVE_UP, ref + bytes([7]) + text("é" * 120) + b"\0"), kind="gave_up"),
        case("presence", presence("online", 17), kind="presence"),
        case("last will", presence("lost", 17, connection=3), kind="presence"),
        case("presence that calls", presence("online", 17, connection=3, call=2), kind="presence"),
        case("presence of a device that lacks data",
             presence("asleep", 17, connection=3, held="hot", data=lacking), kind="presence"),
        case("task", task(), kind="task"), case("plan with unknown work", good_plan, kind="plan"),
        case("training", update, kind="update"), case("evaluation", evaluation, kind="update"),
        case("sums", sums, kind="update"),
        case("plan that asks for sums", plan([work_item(3, sums_work())]), kind="plan"),
        case("claim with extensions", envelope(CLAIM, claimed + more), kind="claim"),
        case("go with extensions", envelope(GO, ref + b"\0" + times + more), kind="go"),
        case("plan with extensions", plan([work_item(2, b"", more)], more=more), kind="plan"),
        case("plan with work that needs an extension",
             plan([work_item(1, train_work(), needed), work_item(2, b"")]), kind="plan"),
        case("update with extensions", envelope(UPDATE, tag(1) + trained + more + payload),
             kind="update"), case("model", model, kind="model"),
        case("model of half precision", half, kind="model"),
        case("seeded model", seeded, kind="seeded"),
        case("delta", delta(DELTA_BASE, b"layouthh", 7)[0], kind="delta"),
        *(case(name, data, kind="task") for name, data, _ in value_tasks()),
    ]
    bad_ack = envelope(ACK, short + varint(10) + blob(bytes([0b101, 0b111])))
    flipped = bytearray(chunk(b"x" * 5000, 4096, 1))
    flipped[-1] ^= 1
    def odd(size, kib):
        return envelope(CHUNK, short + struct.pack("<HIB", 0, size, kib) + b"\0" * 8)

    bad = [
        case("nothing", b"", kind="claim", error="truncated"),
        case("only a schema", b"\2", kind="claim", error="truncated"),
        case("another schema", b"\1" + claim[1:], kind="claim", error="schema"),
        case("another kind", bytes([SCHEMA, GO]) + claim[2:], kind="claim", error="kind"),
        case("signed claim", signed, kind="claim", error="signed"),
        case("signed plan", signed, kind="plan", error="signed"),
        case("claim that needs an extension", envelope(CLAIM, claimed + needed), kind="claim",
             error="extension"),
        case("go that needs an extension", envelope(GO, ref + b"\0" + times + needed), kind="go",
             error="extension"),
        case("plan that needs an extension", plan([], more=needed), kind="plan",
             error="extension"),
        case("update that needs an extension",
             envelope(UPDATE, tag(1) + trained + needed + payload), kind="update",
             error="extension"),
        case("nine extensions", envelope(CLAIM, claimed + crowd), kind="claim", error="invalid"),
        case("extensions out of order",
             envelope(CLAIM, claimed + extensions((2, b""), (1, b""))), kind="claim",
             error="invalid"),
        case("an extension twice", envelope(CLAIM, claimed + extensions((2, b""), (2, b""))),
             kind="claim", error="invalid"),
        case("an extension of 1025 bytes", envelope(CLAIM, claimed + extensions((1, b"x" * 1025))),
             kind="claim", error="invalid"),
        case("work with nine extensions", plan([work_item(77, b"", crowd)]), kind="plan",
             error="invalid"),
        case("an extension cut short", envelope(CLAIM, claimed + extensions((1, b"new"))[:-1]),
             kind="claim", error="truncated"),
        case("claim without extensions", envelope(CLAIM, claimed), kind="claim",
             error="truncated"),
        case("claim cut short", claim[:-1], kind="claim", error="truncated"),
        case("claim with a rest", claim + b"\0", kind="claim", error="trailing"),
        case("claim too long", claim + b"\0" * 9000, kind="claim", error="too_long"),
        case("gave up that needs an extension", envelope(GAVE_UP, gave_up[:-1] + needed),
             kind="gave_up", error="extension"),
        case("gave up on two lines", envelope(GAVE_UP, ref + b"\0" + text("a\nb") + b"\0"),
             kind="gave_up", error="invalid"),
        case("gave up with 121 characters",
             envelope(GAVE_UP, ref + b"\0" + text("x" * 121) + b"\0"), kind="gave_up",
             error="invalid"),
        case("gave up with a rest", envelope(GAVE_UP, gave_up + b"\0"), kind="gave_up",
             error="trailing"),
        case("gave up for a program that knows claims", envelope(GAVE_UP, gave_up), kind="claim",
             error="kind"),
        case("presence without a start", b'{"state":"online"}', kind="presence",
             error="malformed"),
        case("presence that was emptied", b"", kind="presence", error="malformed"),
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
        case("training with a loss beyond its bound", envelope(UPDATE, tag(1) + wild + b"\0"),
             kind="update", error="invalid"),
        case("training with more hits than windows", envelope(UPDATE, tag(1) + liar + b"\0"),
             kind="update", error="invalid"),
        case("evaluation with more hits than windows",
             envelope(UPDATE, tag(2) + metrics(2, 3, 0) + b"\0"), kind="update", error="invalid"),
        case("report of unknown work", envelope(UPDATE, tag(77) + trained + b"\0"),
             kind="update", error="work"),
        case("training with a figure missing", envelope(UPDATE, tag(1) + metrics(300, 0, 1)),
             kind="update", error="truncated"),
        case("sums of nothing", plan([work_item(3, b"\0\0")]), kind="plan", error="invalid"),
        case("sums of a channel twice", plan([work_item(3, sums_work(channels=(0, 0)))]),
             kind="plan", error="invalid"),
        case("sums with falling edges", plan([work_item(3, sums_work(edges=(1.0, 0.5)))]),
             kind="plan", error="invalid"),
        case("sums with 25 fraction bits", plan([work_item(3, sums_work(bits=25))]),
             kind="plan", error="invalid"),
        case("sums with a value of 41 bits",
             plan([work_item(3, sums_work(bits=24, most=65536.5))]), kind="plan", error="invalid"),
        case("sums with no largest value", plan([work_item(3, sums_work(most=float("nan")))]),
             kind="plan", error="invalid"),
        case("sums with a rest", plan([work_item(3, sums_work() + b"\0")]), kind="plan",
             error="trailing"),
        case("model with fewer values than it says", model[:-1], kind="model", error="truncated"),
        case("model with more values than it says", model + f32(1), kind="model", error="trailing"),
        case("model with infinity",
             envelope(MODEL, named + b"\0" + varint(1) + f32(float("inf"))),
             kind="model", error="invalid"),
        case("chunk with a flipped bit", bytes(flipped), kind="chunk", error="checksum"),
        case("chunk of an object of 4 GiB", odd(0xFFFFFFFF, 4), kind="chunk", error="invalid"),
        case("chunk of 3 KiB", odd(5000, 3), kind="chunk", error="invalid"),
        case("chunk of 121 KiB", odd(5000, 121), kind="chunk", error="invalid"),
        case("half precision cut short", half[:-1], kind="model", error="truncated"),
        case("model of no known precision", model[:11] + b"\2" + model[12:], kind="model",
             error="malformed"),
        case("seeded model with a rest", seeded + b"\0", kind="seeded", error="trailing"),
        case("delta of an unknown codec", delta(DELTA_BASE, b"layouthh", 7, codec_id=99)[0],
             kind="delta", error="invalid"),
        case("delta header cut short", delta(DELTA_BASE, b"layouthh", 7)[0][:12], kind="delta",
             error="truncated"),
        case("chunk behind the end", chunk(b"x" * 5000, 4096, 2), kind="chunk", error="invalid"),
        case("chunk header cut short", chunk(b"x" * 5000, 4096, 0)[:20], kind="chunk",
             error="truncated"),
        *bad_value_tasks(),
    ]
    write("messages.json", {"good": good, "bad": bad})


def sums():
    """Windows of several devices, and the sums of each and of all pooled, by NumPy."""
    rng = np.random.default_rng(11)
    bits, most, edges = 12, 2.5, np.array([-1.5, -0.25, 0.0, 0.25, 1.5], np.float32)
    devices, every = [], []
    for count in (3, 1, 0, 5):
        windows = rng.normal(size=(count, 10, 2)).astype(np.float32)
        # Values on an edge, halves of a step, and one beyond the bound.
        windows.reshape(-1)[:4] = np.array([0.25, 0.5 / 4096, 1.5 / 4096, -9], np.float32)[
            : windows.size][:4]
        labels = rng.integers(0, 2, size=count)
        devices.append({"windows": windows.astype("<f4").tobytes().hex(),
                        "labels": labels.tolist(), "sums": add_up(windows, labels, bits, most, edges)})
        every.append((windows, labels))
    pooled = (np.concatenate([w for w, _ in every]), np.concatenate([l for _, l in every]))
    write("sums.json", {
        "task": task().hex(), "fraction_bits": bits, "max_abs": most, "edges": edges.tolist(),
        "devices": devices, "pooled": add_up(*pooled, bits, most, edges),
    })


def add_up(windows, labels, bits, most, edges):
    """Windows, labels, and of channels 1 and 0: samples, sum, squares, and of 1 a histogram."""
    numbers = [len(windows), *np.bincount(labels, minlength=2).tolist()]
    for channel in (1, 0):
        values = windows[:, :, channel].reshape(-1)
        grid = np.rint(np.clip(values, -most, most).astype(np.float64) * 2.0**bits).astype(np.int64)
        numbers += [values.size, int(grid.sum()), int((grid * grid).sum())]
        if channel == 1:
            bins = np.searchsorted(edges, values, side="right")
            numbers += np.bincount(bins, minlength=len(edges) + 1).tolist()
    return [str(number) for number in numbers]


def tasks():
    changed = {
        "labels swapped": task_digest(labels=("walking", "still")),
        "another unit": task_digest(unit="m/s2"), "another offset": task_digest(offset=0.25),
        "another rate": task_digest(rate=100_000),
    }
    write("tasks.json", {"task": task().hex(), "digest": task_digest(), "changed": changed,
                         "values": [{"name": name, "task": data.hex(), "digest": digest}
                                    for name, data, digest in value_tasks()]})


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
    deltas()
    messages()
    tasks()
    sums()
    fits()
    chunks()
    randomness()
