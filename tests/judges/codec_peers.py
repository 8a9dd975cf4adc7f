#!/usr/bin/env python3
"""What Python's zstandard and blosc2 make of the same tensors at the same error as each of our codecs.

    codec_peers.py ROWS.csv TENSORS.npz...

ROWS.csv is `kerf codec survey --csv` of one cut; each .npz holds the crossing tensor of one input that judged there. For a codec
that loses e (root mean square over root mean square) the peers get a uniform quantiser with the very same error, as integers of the
smallest type that holds them. The table has bytes a frame.
"""

import csv
import sys

import blosc2
import numpy as np
import zstandard

FILTERS = [blosc2.Filter.SHUFFLE, blosc2.Filter.BITSHUFFLE]


def quantised(x, error):
    """Levels whose error is that share of the root mean square; the step is found by halving."""
    if error <= 1e-7:
        return x
    rms = float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    low, high = 0.0, 16 * error * rms
    for _ in range(60):
        step = (low + high) / 2
        off = np.sqrt(np.mean(np.square(np.rint(x / step) * step - x, dtype=np.float64))) / rms
        low, high = (step, high) if off < error else (low, step)
    levels = np.rint(x / low)
    reach = float(np.abs(levels).max())
    return levels.astype(np.int8 if reach < 128 else np.int16 if reach < 32768 else np.int32)


def blosc(data):
    best = None
    for one in FILTERS:
        packed = blosc2.compress2(
            data, codec=blosc2.Codec.ZSTD, clevel=9, typesize=data.dtype.itemsize, filters=[one], filters_meta=[0], nthreads=1
        )
        best = min(best or len(packed), len(packed))
    return best


def main():
    rows = list(csv.DictReader(open(sys.argv[1])))
    tensors = []
    for file in sys.argv[2:]:
        arrays = np.load(file)
        tensors += [np.ascontiguousarray(arrays[name], dtype=np.float32) for name in arrays.files]
    print(f"{'codec':22}{'error':>9}{'ours':>10}{'zstd -3':>10}{'zstd -19':>10}{'blosc2':>10}{'ours/best':>11}")
    worse = 0
    for row in rows:
        if row["is_codec"] != "true":
            continue
        error, ours = float(row["relative_error"]), float(row["payload_bytes"])
        made = [quantised(x, error) for x in tensors]
        zstd = [np.mean([len(zstandard.ZstdCompressor(level=n).compress(q.tobytes())) for q in made]) for n in (3, 19)]
        other = np.mean([blosc(q) for q in made])
        best = min(*zstd, other)
        # `kerf codec fit` takes the better of both kinds of blocks: where the transform does not pay, the other is near the best.
        worse += row["codec"].startswith("dct step") and ours > best
        print(f"{row['codec']:22}{error:9.5f}{ours:10.0f}{zstd[0]:10.0f}{zstd[1]:10.0f}{other:10.0f}{ours / best:11.2f}")
    return 1 if worse else 0


sys.exit(main())
