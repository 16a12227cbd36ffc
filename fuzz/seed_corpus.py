#!/usr/bin/env python3
"""Writes the corpus from the wire-format vectors: `python3 fuzz/seed_corpus.py`."""

import hashlib
import json
import struct
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parent / "tests/vectors/v2"
CODECS = ["f32", "int8", "ecdq", "eden", "uniform", "sparse"]
# The first two bytes choose parameters in fuzz/src/codec.rs; these come near those of the vectors.
PARAMETERS = {0: b"\0\0", 1: b"\xff\1", 2: b"\x09\x80", 3: b"\0\0", 4: b"\x02\0", 5: b"\x09\0"}


def keep(target, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def main():
    codecs = json.loads((VECTORS / "codecs.json").read_text())
    for case in codecs["good"] + codecs["bad"]:
        codec, payload = case["codec"], bytes.fromhex(case["hex"])
        n = case.get("n") or len(case["values"]) // 8
        if len(payload) < 700:
            head = PARAMETERS[codec] + struct.pack("<H", n - 1)
            keep("decode_" + CODECS[codec], head + payload)
        if "values" in case and n <= 100:
            keep("codec_round_trip", bytes([codec, 9, 128]) + bytes.fromhex(case["values"]))
    messages = json.loads((VECTORS / "messages.json").read_text())
    for case in messages["good"] + messages["bad"]:
        data = bytes.fromhex(case["hex"])
        target = case["kind"] if case["kind"] in ("model", "update", "chunk") else "messages"
        if case["kind"] == "delta":
            target, data = "delta", b"\0" + data
        if len(data) < 6000:
            keep(target, data)
    deltas = json.loads((VECTORS / "deltas.json").read_text())
    keep("delta", b"\0" + bytes.fromhex(deltas["object"]))
    keep("chunk", bytes.fromhex(json.loads((VECTORS / "chunks.json").read_text())["chunks"][2]))
    keep("messages", b'{"state":"asleep","boot":17,"schema":2}')
    keep("device_state", bytes([2]) + bytes(32) + b"\1\0\0\0\0\0")
    keep("device_state", bytes([3]) + bytes(32) + b"\1\0\0\0\0\0" + b"\1" + bytes(16) + b"\7")
    # What version 2 of the state looked like on a disk, behind magic, sequence number and CRC.
    for slot in ("state.a", "state.b"):
        keep("device_state", (HERE.parent / "tests/stored/v2" / slot).read_bytes()[20:])


if __name__ == "__main__":
    main()
