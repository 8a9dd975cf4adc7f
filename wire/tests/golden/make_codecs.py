#!/usr/bin/env python3
"""Makes golden payloads of every codec from docs/codec.md alone: nothing of Kerf's code is used.

    python3 wire/tests/golden/make_codecs.py FOLDER

Each file is one case: name, shape, what the elements decode to, parameters and payload, as written by `case` below.
The files beside this script are kept for ever. Standard library only.
"""

import math
import pathlib
import struct
import sys

ROOM = 1 << 15


def le(kind, *numbers):
    return struct.pack("<" + kind * len(numbers), *numbers)


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def rans(symbols, scale):
    """`symbols`: (start, frequency) each. The stream of docs/codec.md, with plain division."""
    states, words = [ROOM] * 4, []
    for i in reversed(range(len(symbols))):
        start, frequency = symbols[i]
        x = states[i % 4]
        if x >= frequency << (31 - scale):
            words.append(x & 0xFFFF)
            x >>= 16
        states[i % 4] = (x // frequency << scale) + x % frequency + start
    return le("I", len(words)) + le("I", *states) + le("H", *reversed(words))


def plane(data):
    """A coded plane whose frequencies are the counts, scaled to 4096 by largest remainders (any sum to 4096 decodes)."""
    count = {b: data.count(b) for b in sorted(set(data))}
    left = 4096 - len(count)
    share = {b: 1 + n * left // len(data) for b, n in count.items()}
    share[max(count, key=lambda b: (count[b], -b))] += 4096 - sum(share.values())
    table, before, start, starts = bytes([len(count) - 1]), -1, 0, {}
    for b, f in share.items():
        table += bytes([b - before - 1])
        table += bytes([f - 1]) if f - 1 < 128 else bytes([(f - 1) & 127 | 128, (f - 1) >> 7])
        before, starts[b], start = b, start, start + f
    return b"\1" + table + rans([(starts[b], share[b]) for b in data], 12)


def shuffled(codes, width):
    return [codes[i::width] for i in range(width)]


def lz4_literals(data):
    """An LZ4 block of one sequence without a match."""
    n = len(data)
    if n < 15:
        return bytes([n << 4]) + data
    out, n = bytearray([0xF0]), n - 15
    while n >= 255:
        out.append(255)
        n -= 255
    return bytes(out) + bytes([n]) + data


def zstd_stored(data):
    """A Zstandard frame (RFC 8878, section 3.1.1) of one stored block, its content's length in the header, no checksum."""
    n = len(data)
    length = bytes([0x20, n]) if n < 256 else bytes([0x60]) + le("H", n - 256)
    return le("I", 0xFD2FB528) + length + le("I", n << 3 | 1)[:3] + data


def bitmap(codes, width):
    elements = [codes[i : i + width] for i in range(0, len(codes), width)]
    bits = bytearray((len(elements) + 7) // 8)
    for i, e in enumerate(elements):
        bits[i // 8] |= any(e) << (i % 8)
    return bytes(bits) + b"".join(e for e in elements if any(e))


PACKERS = {
    0: lambda codes, width: codes,
    1: bitmap,
    2: lambda codes, width: lz4_literals(b"".join(shuffled(codes, width))),
    3: lambda codes, width: b"".join(plane(p) for p in shuffled(codes, width)),
    4: lambda codes, width: zstd_stored(b"".join(shuffled(codes, width))),
}

# Ten channels of 2 × 4: a slow wave, zeros and a few steps; every value chosen so that no coefficient is near a tie.
SHAPE = [1, 10, 2, 4]
ELEMENTS = [0.0 if (i * 7) % 5 < 2 else round(8 * math.sin(i * 0.37) * (1 + i % 3)) / 8 + 0.013 * math.sin(i * i) for i in range(80)]
ELEMENTS = [f32(x) for x in ELEMENTS]


def round_even(x):
    return int(round(x))


def affine(elements, steps):
    low, high = min(0.0, *elements), max(0.0, *elements)
    scale = f32(f32(high / steps) - f32(low / steps))
    below = int(math.floor(f32(-low / scale) + 0.5))
    per = f32(1 / scale)
    q = [min(max(round_even(f32(x * per)), -below), steps - below) for x in elements]
    return le("f", scale) + bytes([below]), q, [f32(n * scale) for n in q]


def classes_share(k):
    m = 2 ** (k / 4 - 4)
    r = math.exp(-1 / (2 * m))
    share = [1 - r] + [r ** (2 * t - 1) * (1 - r * r) for t in range(1, 15)] + [r**29]
    frequency = [int(s * 16368) + 1 for s in share]
    frequency[0] += 16384 - sum(frequency)
    return [(sum(frequency[:t]), frequency[t]) for t in range(16)]


def dct_matrix(n):
    norm = [math.sqrt(1 / n)] + [math.sqrt(2 / n)] * (n - 1)
    return [[norm[u] * math.cos(math.pi * (2 * x + 1) * u / (2 * n)) for x in range(n)] for u in range(n)]


def transform(block, tall, wide):
    rows = [[sum(w[x] * line[x] for x in range(len(line))) for w in wide] for line in block]
    return [[sum(t[y] * rows[y][u] for y in range(len(rows))) for u in range(len(wide))] for t in tall]


def transpose(matrix):
    return [list(column) for column in zip(*matrix)]


class Bits:
    def __init__(self):
        self.bits = []

    def put(self, number, count):
        self.bits += [number >> i & 1 for i in range(count)]

    def bytes(self):
        padded = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(sum(b << i for i, b in enumerate(padded[k : k + 8])) for k in range(0, len(padded), 8))


# The table that the test builds too: blocks of 2 × 2, so that every channel has two.
STEPS = [0.25, 0.5, 0.125, 0.03125]
MEANS = [f32(c * 0.2371) for c in range(10)]
CHANNEL = [14 + c for c in range(10)]
FREQUENCY = [8, 3, 0, 5]
SHIFT = 0.125


def dct(coarseness):
    base = dct_matrix(2)
    factor = 2 ** (coarseness / 4)
    tokens, bits, decoded = [], Bits(), [0.0] * 80
    for group in (range(0, 8), range(8, 10)):
        for left in (0, 2):
            spectra = {}
            for c in group:
                at = [[c * 8 + y * 4 + left + x for x in (0, 1)] for y in (0, 1)]
                spectrum = transform([[ELEMENTS[i] - MEANS[c] for i in line] for line in at], base, base)
                y = [v for line in spectrum for v in line]
                steps = [s * factor for s in STEPS]
                levels = [int(math.copysign(math.floor(abs(v) / s + 0.5), v)) for v, s in zip(y, steps)]
                for v, s in zip(y, steps):
                    assert abs(abs(v) / s % 1 - 0.5) > 1e-3, ("near a tie", c, left, v, s)
                spectra[c] = levels
                back = [math.copysign(abs(n) + SHIFT, n) * s if n else 0.0 for n, s in zip(levels, steps)]
                plane_ = transform([back[:2], back[2:]], transpose(base), transpose(base))
                for line, values in zip(at, plane_):
                    for i, v in zip(line, values):
                        decoded[i] = v + MEANS[c]
            for f in range(4):
                for c in group:
                    level = spectra[c][f]
                    k = min(max(CHANNEL[c] + FREQUENCY[f] - coarseness, 0), 99)
                    plain = (k - 20) // 4 if k >= 24 else 0
                    share = classes_share(20 + k % 4 if k >= 24 else k)
                    token = min(abs(level) >> plain, 15)
                    tokens.append(share[token])
                    if token == 15:
                        a = (abs(level) >> plain) - 14
                        length = a.bit_length() - 1
                        bits.put(0, length)
                        bits.put(1, 1)
                        bits.put(a & ((1 << length) - 1), length)
                    bits.put(abs(level) & ((1 << plain) - 1), plain)
                    if level:
                        bits.put(level < 0, 1)
    return rans(tokens, 14) + bits.bytes(), decoded


# State, then whether the level is odd: the next state. States 0 and 1 have the first quantiser.
NEXT = [[0, 2], [2, 0], [1, 3], [3, 1]]


def pairs_share(k, quantiser):
    """Start and frequency of each token of class k where two quantisers take turns."""
    m = 2 ** (k / 4 - 4)
    plain = (k - 20) // 4 if k >= 24 else 0
    survival = lambda x: math.exp(-x / (2 * m))
    a, b, c = 0.55 + 0.14 / m, 0.15 + 0.12 / m, 1.4 + 0.45 / m

    def above(level):
        """The share of all levels above this one."""
        if quantiser == 0:
            return survival(a + 2 * level)
        return survival(b) if level == 0 else survival(c + 2 * level - 2)

    share = [0.0] * 16
    for level in range(20000):
        pair = min(level // 2 >> plain, 7)
        share[2 * pair + level % 2] += (1 - above(0)) if level == 0 else above(level - 1) - above(level)
    frequency = [int(s * 16368) + 1 for s in share]
    frequency[0] += 16384 - sum(frequency)
    return [(sum(frequency[:t]), frequency[t]) for t in range(16)]


def dct_turns(coarseness):
    """Four states: each level is the nearest of the quantiser whose turn it is."""
    base = dct_matrix(2)
    steps = [s * 2 ** (coarseness / 4) for s in STEPS]
    tokens, bits, decoded = [], Bits(), [0.0] * 80
    for group in (range(0, 8), range(8, 10)):
        state = {c: 0 for c in group}
        for left in (0, 2):
            at = {c: [[c * 8 + y * 4 + left + x for x in (0, 1)] for y in (0, 1)] for c in group}
            spectra = {c: sum(transform([[ELEMENTS[i] - MEANS[c] for i in line] for line in at[c]], base, base), []) for c in group}
            back = {c: [] for c in group}
            for f in range(4):
                for c in group:
                    quantiser = state[c] // 2
                    x = spectra[c][f] / steps[f]
                    points = range(0, int(abs(x)) + 4, 2) if quantiser == 0 else [0, *range(1, int(abs(x)) + 4, 2)]
                    point = min(points, key=lambda p: abs(abs(x) - p))
                    level = (point + quantiser) // 2
                    back[c].append(math.copysign(point + SHIFT, x) * steps[f] if level else 0.0)
                    k = min(max(CHANNEL[c] + FREQUENCY[f] - coarseness, 0), 99)
                    plain = (k - 20) // 4 if k >= 24 else 0
                    pair = level // 2 >> plain
                    tokens.append(pairs_share(k if k < 32 else 28 + k % 4, quantiser)[2 * min(pair, 7) + level % 2])
                    if pair >= 7:
                        a = pair - 6
                        length = a.bit_length() - 1
                        bits.put(0, length)
                        bits.put(1, 1)
                        bits.put(a & ((1 << length) - 1), length)
                    bits.put(level // 2 & ((1 << plain) - 1), plain)
                    if level:
                        bits.put(x < 0, 1)
                    state[c] = NEXT[state[c]][level % 2]
            for c in group:
                plane_ = transform([back[c][:2], back[c][2:]], transpose(base), transpose(base))
                for line, values in zip(at[c], plane_):
                    for i, v in zip(line, values):
                        decoded[i] = v + MEANS[c]
    return rans(tokens, 14) + bits.bytes(), decoded


def case(codec, parameters, payload, decoded):
    """codec u8, number of parameters u8, parameters, number of payload bytes u32, payload, decoded elements as f32."""
    return bytes([codec, len(parameters)]) + parameters + le("I", len(payload)) + payload + le("f", *decoded)


def cases():
    half = le("e", *ELEMENTS)
    brain = b"".join(
        le("H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16) for bits in struct.unpack("<80I", le("f", *ELEMENTS))
    )
    widened = struct.unpack("<80f", b"".join(b"\0\0" + brain[i : i + 2] for i in range(0, 160, 2)))
    byte_range, q, as_bytes = affine(ELEMENTS, 255)
    heads, codes, by_channel = b"", b"", []
    for c in range(10):
        head, qc, back = affine(ELEMENTS[c * 8 : c * 8 + 8], 255)
        heads, codes, by_channel = heads + head, codes + bytes(n & 255 for n in qc), by_channel + back
    nibble_range, n4, as_nibbles = affine(ELEMENTS, 15)
    nibbles = bytes(n4[i] & 15 | (n4[i + 1] & 15) << 4 for i in range(0, 80, 2))
    quantised = {
        0: (b"", b"", le("f", *ELEMENTS), 4, ELEMENTS),
        1: (b"", b"", half, 2, struct.unpack("<80e", half)),
        2: (b"", b"", brain, 2, widened),
        3: (byte_range, b"", bytes(n & 255 for n in q), 1, as_bytes),
        4: (b"", heads, codes, 1, by_channel),
        5: (nibble_range, b"", nibbles, 1, as_nibbles),
    }
    for quantiser, (parameters, head, codes, width, decoded) in quantised.items():
        for packer, pack in PACKERS.items():
            codec = quantiser << 4 | packer
            yield f"codec-{codec:02x}-v1.bin", case(codec, parameters, head + pack(codes, width), decoded)
    for coarseness in (-14, 0, 5):
        payload, decoded = dct(coarseness)
        yield f"codec-60-at-{coarseness}-v1.bin", case(0x60, le("b", coarseness), payload, decoded)
        payload, decoded = dct_turns(coarseness)
        yield f"codec-60-states-4-at-{coarseness}-v1.bin", case(0x60, le("b", coarseness), payload, decoded)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    (folder / "codec-elements.bin").write_bytes(le("f", *ELEMENTS))
    for name, data in cases():
        (folder / name).write_bytes(data)
