#!/usr/bin/env python3
"""Makes the golden messages of wire version 1 from the format's description alone: nothing of Kerf's code is used.

    python3 wire/tests/golden/make.py FOLDER

The files beside this script are kept for ever: every later program must read them. Standard library only.
"""

import pathlib
import struct
import sys


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, as RFC 3720 section 12.1 defines it (reflected polynomial 0x82F63B78)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# The test vector of RFC 3720 section B.4: 32 bytes of zeros.
assert crc32c(bytes(32)) == 0x8A9136AA


def varint(number: int) -> bytes:
    """Postcard's varint: seven bits a byte, least significant first, the top bit says that more follow."""
    out = bytearray()
    while True:
        low, number = number & 0x7F, number >> 7
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def text(string: str) -> bytes:
    raw = string.encode()
    return varint(len(raw)) + raw


def frame_id(device: str, boot: int, sequence: int) -> bytes:
    return text(device) + varint(boot) + varint(sequence)


def hop(part: int, unix_us: int, decode_us: int, run_us: int, encode_us: int) -> bytes:
    return bytes([part]) + varint(unix_us) + varint(decode_us) + varint(run_us) + varint(encode_us)


F32, F16, U8, I64, BOOL = 0, 1, 5, 10, 12


def tensor(dtype: int, shape: list, payload: bytes, codec: int = 0, parameters: bytes = b"") -> bytes:
    dims = varint(len(shape)) + b"".join(varint(d) for d in shape)
    return varint(dtype) + dims + bytes([codec]) + varint(len(parameters)) + parameters + varint(len(payload))


def sealed(kind: int, header: bytes, payload: bytes = b"") -> bytes:
    message = b"KF" + bytes([1, kind]) + struct.pack("<I", len(header)) + header + payload
    return message + struct.pack("<I", crc32c(message))


MODEL = bytes(range(32))
CUT = bytes(range(0xA0, 0xB0))

PAYLOADS = [
    # Two rows of three, a NaN with a payload, both infinities, a denormal and minus zero among them.
    struct.pack("<6f", 1.5, -2.25, float("inf"), float("-inf"), 1e-42, -0.0),
    struct.pack("<2e", 0.5, -65504.0),
    b"",
    struct.pack("<q", -(2**63)),
    b"\x01",
    # Codec 200 is nobody's: a reader passes such a payload on without knowing what it says.
    b"\xde\xad\xbe\xef",
]
TENSORS = [
    tensor(F32, [2, 3], PAYLOADS[0]),
    tensor(F16, [1, 2, 1], PAYLOADS[1]),
    tensor(U8, [0, 4], PAYLOADS[2]),
    tensor(I64, [], PAYLOADS[3]),
    tensor(BOOL, [1], PAYLOADS[4]),
    tensor(F32, [300, 7], PAYLOADS[5], codec=200, parameters=b"\x00\xff"),
]
HOPS = [hop(0, 1_700_000_000_123_456, 2_100, 8_400, 127), hop(1, 0, 0, 2**32 - 1, 0)]

MESSAGES = {
    "frame-v1.bin": sealed(
        1,
        frame_id("camera-7.north_1", 0xFEDCBA9876543210, 300)
        + MODEL
        + CUT
        + varint(len(HOPS))
        + b"".join(HOPS)
        + varint(len(TENSORS))
        + b"".join(TENSORS),
        b"".join(PAYLOADS),
    ),
    "frame-empty-v1.bin": sealed(1, frame_id("a", 0, 0) + MODEL + CUT + varint(0) + varint(0)),
    "reference-v1.bin": sealed(
        2,
        frame_id("camera-7.north_1", 0xFEDCBA9876543210, 301)
        + MODEL[::-1]
        + varint(2**40 + 5)
        + text("https://store.example/frames/00ff?X-Amz-Expires=900"),
    ),
    "receipt-answered-v1.bin": sealed(3, frame_id("camera-7.north_1", 1, 2**64 - 1) + varint(0) + varint(41_000)),
    "receipt-refused-v1.bin": sealed(
        3, frame_id("camera-7.north_1", 1, 128) + varint(1) + text("no model 00ff… here") + varint(12)
    ),
}

if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    for name, message in MESSAGES.items():
        (folder / name).write_bytes(message)
