"""The codecs of protocol/README.md in NumPy: the same bytes, written from the text alone.

Single precision throughout where the text says `f32`; sums in double precision, in order.
"""

import hashlib
import struct

import numpy as np

F = np.float32
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


# --- random numbers: SplitMix64 seeds xoshiro256++ ---------------------------------------------
def rotl(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


class Rng:
    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + GOLDEN) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            self.s.append(z ^ (z >> 31))

    @staticmethod
    def stream(seed, number):
        return Rng(Rng(seed ^ (number * GOLDEN & MASK)).next())

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

    def bits24(self):
        return self.next() >> 40

    def unit(self):
        return F(self.bits24()) * F(1 / 16777216)


# --- public seeds ---------------------------------------------------------------------------------
def first_eight(*parts):
    return struct.unpack("<Q", hashlib.sha256(b"".join(parts)).digest()[:8])[0]


def seeds_of_update(device, lineage, round_id, kind):
    tail = b"\0" + lineage + struct.pack("<I", round_id) + bytes([kind])
    return {"round": first_eight(b"round", tail), "device": first_eight(b"device", tail, device)}


def seeds_of_delta(layout, version):
    seed = first_eight(b"delta\0", layout, struct.pack("<I", version))
    return {"round": seed, "device": seed}


# --- the range code ---------------------------------------------------------------------------------
ZERO = [
    [220, 236, 243, 248, 250, 251, 252, 252, 252],
    [213, 230, 238, 243, 247, 249, 250, 250, 243],
    [207, 222, 231, 237, 242, 244, 246, 246, 239],
    [204, 220, 229, 235, 240, 242, 243, 244, 234],
    [200, 211, 219, 224, 229, 232, 233, 234, 231],
    [196, 209, 215, 222, 225, 227, 228, 230, 218],
    [187, 195, 200, 203, 207, 209, 210, 210, 219],
    [182, 188, 192, 196, 197, 198, 201, 201, 198],
    [169, 174, 177, 178, 179, 180, 182, 182, 200],
    [166, 170, 172, 173, 175, 175, 176, 177, 189],
    [164, 165, 166, 169, 169, 170, 171, 170, 169],
    [151, 153, 153, 154, 154, 154, 156, 156, 154],
]
FARTHER = [12, 18, 27, 38, 53, 73, 92, 115, 128]
ENDS = [240, 235, 235, 230, 222, 212, 185, 170, 140, 120, 95, 60]


class Bit:
    def __init__(self, chances):
        self.p, self.seen = chances << 8, 14

    def chances(self):
        return min(max(self.p >> 4, 1), 4095)

    def learn(self, bit):
        shift = min((self.seen + 2).bit_length() - 1, 6)
        self.seen = min(self.seen + 1, 255)
        self.p += -(self.p >> shift) if bit else (65535 - self.p) >> shift


class Encoder:
    """Keeps the whole code as one big integer: no carries to think of."""

    def __init__(self):
        self.low, self.range, self.shifts = 0, (1 << 32) - 1, 0

    def widen(self):
        while self.range < 1 << 24:
            self.range <<= 8
            self.low <<= 8
            self.shifts += 1

    def code(self, bit_model, bit):
        bound = (self.range >> 12) * bit_model.chances()
        if bit:
            self.low += bound
            self.range -= bound
        else:
            self.range = bound
        bit_model.learn(bit)
        self.widen()
        return bit

    def even(self, bit):
        self.range >>= 1
        self.low += self.range if bit else 0
        self.widen()
        return bit

    def finish(self):
        last = self.low + self.range - 1
        free = next(f for f in range(31, -1, -1) if last >> f << f >= self.low)
        data = (last >> free << free).to_bytes(self.shifts + 4, "big")
        for _ in range(4):
            if data.endswith(b"\0"):
                data = data[:-1]
        return data


class Decoder:
    def __init__(self, data):
        self.data, self.at, self.range, self.value = data, 0, (1 << 32) - 1, 0
        for _ in range(4):
            self.byte()

    def byte(self):
        self.value = self.value << 8 | (self.data[self.at] if self.at < len(self.data) else 0)
        self.at += 1

    def widen(self):
        while self.range < 1 << 24:
            self.range <<= 8
            self.byte()

    def code(self, bit_model, _bit):
        bound = (self.range >> 12) * bit_model.chances()
        bit = self.value >= bound
        if bit:
            self.value -= bound
            self.range -= bound
        else:
            self.range = bound
        bit_model.learn(bit)
        self.widen()
        return bit

    def even(self, _bit):
        self.range >>= 1
        bit = self.value >= self.range
        self.value -= self.range if bit else 0
        self.widen()
        return bit

    def finish(self):
        assert len(self.data) <= self.at <= len(self.data) + 4


class Symbols:
    def __init__(self):
        self.zero = [[Bit(c) for c in row] for row in ZERO]
        self.nearer = [Bit(c) for c in FARTHER]
        self.more = [[Bit(c) for _ in range(14)] for c in ENDS]
        self.last, self.before, self.recent = 0, 0, 1 << 14

    def level(self):
        scaled = self.recent >> 12
        limits = [2, 4, 8, 16, 40]
        level = sum(scaled >= limit for limit in limits)
        return 2 * level + (2 * self.last + self.before > self.recent >> 14)

    def note(self, magnitude):
        self.last, self.before = min(magnitude, 64), self.last
        self.recent -= self.recent >> 4
        self.recent += self.last << 12

    def code(self, coder, q, edge, up):
        level = self.level()
        if not coder.code(self.zero[level][edge], q != 0):
            self.note(0)
            return 0
        positive = coder.code(self.nearer[edge], (q > 0) == up) == up
        size = 1
        while size < 15 and coder.code(self.more[level][size - 1], abs(q) > size):
            size += 1
        if size == 15:
            size += self.escape(coder, max(abs(q) - 15, 0))
        self.note(size)
        return size if positive else -size

    @staticmethod
    def escape(coder, rest):
        width = (rest + 1).bit_length() - 1
        ones = 0
        while ones < 20 and coder.even(ones < width):
            ones += 1
        value = 1
        for at in range(ones - 1, -1, -1):
            value = value << 1 | coder.even(bool((rest + 1) >> at & 1))
        return value - 1


# --- codecs -----------------------------------------------------------------------------------------
def int8_encode(values, block, noise):
    rng, out = Rng(noise), bytearray()
    for start in range(0, len(values), block):
        part = values[start : start + block].astype(F)
        step = F(np.max(np.abs(part)) / F(127))
        out += step.tobytes()
        per_unit = F(1) / step if step >= np.finfo(F).tiny else F(0)
        for value in part:
            code = np.floor(F(value * per_unit) + rng.unit())
            out += struct.pack("b", int(np.clip(code, -127, 127)))
    return bytes(out)


def int8_decode(payload, n, block):
    values, at = [], 0
    for start in range(0, n, block):
        count = min(block, n - start)
        step = np.frombuffer(payload[at : at + 4], "<f4")[0]
        codes = np.frombuffer(payload[at + 4 : at + 4 + count], "i1").astype(F)
        values += list(codes * step)
        at += 4 + count
    return np.array(values, F)


def in_order(values):
    total = 0.0
    for value in values:
        total += value
    return total


def step_of(values, relative):
    square = in_order(float(v) * float(v) for v in values)
    return F(F(np.sqrt(square / len(values))) * F(relative))


def side(d):
    up = d >= 1 << 23
    return ((1 << 24) - 1 - d if up else d) >> 20, up


def ecdq_encode(values, relative, seeds):
    step = step_of(values, relative)
    if step < np.finfo(F).tiny:
        return b"\0" * 4
    rng, symbols, coder = Rng(seeds["device"]), Symbols(), Encoder()
    per_unit = F(1) / step
    for value in values:
        d = rng.bits24()
        q = int(np.floor(F(F(value * per_unit) + F(d) * F(1 / 16777216))))
        symbols.code(coder, q, *side(d))
    return step.tobytes() + coder.finish()


def ecdq_decode(payload, n, seeds):
    step = np.frombuffer(payload[:4], "<f4")[0]
    if step == 0:
        return np.zeros(n, F)
    rng, symbols, coder, out = Rng(seeds["device"]), Symbols(), Decoder(payload[4:]), []
    for _ in range(n):
        d = rng.bits24()
        q = symbols.code(coder, 0, *side(d))
        v = F(d) * F(1 / 16777216)
        out.append(F(F(F(q) + F(F(0.5) - v)) * step))
    coder.finish()
    return np.array(out, F)


def sparse_encode(values, relative):
    step = step_of(values, relative)
    if step < np.finfo(F).tiny:
        return b"\0" * 4
    symbols, coder, per_unit = Symbols(), Encoder(), F(1) / step
    for value in values:
        size = int(np.floor(F(F(abs(value) * per_unit) + F(0.35))))
        symbols.code(coder, -size if np.signbit(value) else size, 8, True)
    return step.tobytes() + coder.finish()


def sparse_decode(payload, n):
    step = np.frombuffer(payload[:4], "<f4")[0]
    if step == 0:
        return np.zeros(n, F)
    symbols, coder = Symbols(), Decoder(payload[4:])
    out = [F(F(symbols.code(coder, 0, 8, True)) * step) for _ in range(n)]
    coder.finish()
    return np.array(out, F)


def blocks(n):
    start = 0
    while start < n:
        rest = n - start
        above = 1 << (rest - 1).bit_length()
        pads = above <= 16384 and (rest < 64 or above - rest <= rest // 32)
        length = above if pads else min(1 << (rest.bit_length() - 1), 16384)
        yield start, min(length, rest), length
        start += min(length, rest)


def signs(seed, stream, n):
    rng, out = Rng.stream(seed, stream), []
    while len(out) < n:
        bits = rng.next()
        out += [F(-1) if bits >> i & 1 else F(1) for i in range(64)]
    return np.array(out[:n], F)


def butterflies(x):
    x, half = x.copy(), 1
    while half < len(x):
        pairs = x.reshape(-1, 2, half)
        upper, lower = pairs[:, 0].copy(), pairs[:, 1].copy()
        pairs[:, 0], pairs[:, 1] = upper + lower, upper - lower
        half *= 2
    return x


def rotate(x, seed, place):
    for k in (0, 1):
        x = butterflies(x * signs(seed, 2 * place + k, len(x)))
    return x * F(1 / len(x))


def rotate_back(x, seed, place):
    for k in (1, 0):
        x = butterflies(x) * signs(seed, 2 * place + k, len(x))
    return x * F(1 / len(x))


def rotated_blocks(values, seed):
    for place, (start, used, length) in enumerate(blocks(len(values))):
        block = np.zeros(length, F)
        block[:used] = values[start : start + used]
        yield rotate(block, seed, place)


def pack(codes, bits):
    number = 0
    for at, code in enumerate(codes):
        number |= (code & ((1 << bits) - 1)) << (at * bits)
    return number.to_bytes((len(codes) * bits + 7) // 8, "little")


def unpack(data, count, bits):
    number = int.from_bytes(data, "little")
    return [number >> (at * bits) & ((1 << bits) - 1) for at in range(count)]


CENTROIDS = {
    1: [0.7978846],
    2: [0.45278004, 1.5104176],
    4: [0.12839502, 0.38804823, 0.65675896, 0.94234027, 1.256231, 1.6180461, 2.0690167, 2.7325888],
}


def eden_encode(values, bits, seeds):
    centroids, out = np.array(CENTROIDS[bits], F), b""
    edges = [F(F(0.5) * F(a + b)) for a, b in zip(centroids, centroids[1:])]
    for y in rotated_blocks(values, seeds["device"]):
        square = in_order(float(v) * float(v) for v in y)
        deviation = F(np.sqrt(square / len(y)))
        level = [int(sum(abs(v) > F(edge * deviation) for edge in edges)) for v in y]
        dot = in_order(float(abs(v)) * float(centroids[i]) for v, i in zip(y, level))
        scale = F(square / dot) if deviation >= np.finfo(F).tiny else F(0)
        codes = [int(np.signbit(v)) << (bits - 1) | i for v, i in zip(y, level)]
        out += scale.tobytes() + pack(codes, bits)
    return out


def eden_decode(payload, n, bits, seeds):
    centroids, out, at = np.array(CENTROIDS[bits], F), [], 0
    for place, (_, used, length) in enumerate(blocks(n)):
        scale = np.frombuffer(payload[at : at + 4], "<f4")[0]
        size = (length * bits + 7) // 8
        codes = unpack(payload[at + 4 : at + 4 + size], length, bits)
        at += 4 + size
        sign = 1 << (bits - 1)
        q = [(-1 if c & sign else 1) * F(scale * centroids[c & (sign - 1)]) for c in codes]
        out += list(rotate_back(np.array(q, F), seeds["device"], place)[:used])
    return np.array(out, F)


def uniform_encode(values, bits, step, seeds, noise):
    rng, codes, step = Rng(noise), [], F(step)
    limit = (1 << (bits - 1)) - 1
    for y in rotated_blocks(values, seeds["round"]):
        for v in y:
            code = int(np.floor(F(F(v * (F(1) / step)) + rng.unit())))
            codes.append(max(-limit, min(limit, code)))
    return pack(codes, bits)


def uniform_decode(payload, n, bits, step, seeds):
    out, at = [], 0
    codes = unpack(payload, sum(length for _, _, length in blocks(n)), bits)
    codes = [c - (1 << bits) if c >> (bits - 1) else c for c in codes]
    for place, (_, used, length) in enumerate(blocks(n)):
        block = np.array(codes[at : at + length], F) * F(step)
        out += list(rotate_back(block, seeds["round"], place)[:used])
        at += length
    return np.array(out, F)


def encode(spec, values, seeds, noise):
    codec, param, scale = spec
    return {
        0: lambda: values.astype("<f4").tobytes(),
        1: lambda: int8_encode(values, param, noise),
        2: lambda: ecdq_encode(values, scale, seeds),
        3: lambda: eden_encode(values, param, seeds),
        4: lambda: uniform_encode(values, param, scale, seeds, noise),
        5: lambda: sparse_encode(values, scale),
    }[codec]()


def decode(spec, payload, n, seeds):
    codec, param, scale = spec
    return {
        0: lambda: np.frombuffer(payload, "<f4"),
        1: lambda: int8_decode(payload, n, param),
        2: lambda: ecdq_decode(payload, n, seeds),
        3: lambda: eden_decode(payload, n, param, seeds),
        4: lambda: uniform_decode(payload, n, param, scale, seeds),
        5: lambda: sparse_decode(payload, n),
    }[codec]()
