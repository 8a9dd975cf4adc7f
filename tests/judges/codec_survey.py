#!/usr/bin/env python3
"""The textbook's quantiser and what `dct` saves against it, computed again without our code.

    codec_survey.py ROWS.csv SAID.txt MODEL.onnx CUT TENSORS.npz...

ROWS.csv and SAID.txt are what `kerf codec survey` of one cut wrote and printed; each .npz holds the crossing tensor of one input
that judged there. ONNX Runtime runs what lies behind the cut. Fails where a figure differs.
"""

import csv
import re
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime


def tail(model, cut):
    whole = onnx.load(model)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        onnx.utils.extract_model(model, file.name, [cut], [whole.graph.output[0].name])
        session = onnxruntime.InferenceSession(file.name, providers=["CPUExecutionProvider"])
    return lambda x: int(np.argmax(session.run(None, {cut: x})[0]))


def uniform(tensors, best, behind, share):
    """Bits a value at the entropy of all levels, and the share of inputs whose best class stays."""
    step = share * np.concatenate([x.ravel() for x in tensors]).astype(np.float64).std()
    levels = [np.rint(x.astype(np.float64) / step) for x in tensors]
    _, counts = np.unique(np.concatenate([one.ravel() for one in levels]), return_counts=True)
    p = counts / counts.sum()
    stays = np.mean([behind((one * step).astype(np.float32)) == b for one, b in zip(levels, best)])
    return float(-(p * np.log2(p)).sum()), float(stays)


def fewest_bits(curve, agreement):
    """The leftmost crossing of the line through points in the order of their bits, on a fine grid of each piece."""
    for (b0, a0), (b1, a1) in zip(curve, curve[1:]):
        if min(a0, a1) <= agreement <= max(a0, a1):
            grid = np.linspace(0, 1, 100_001)
            return float(b0 + (b1 - b0) * grid[np.argmin(np.abs(a0 + (a1 - a0) * grid - agreement))])
    return None


def main():
    rows_file, said_file, model, cut, *files = sys.argv[1:]
    rows = [row for row in csv.DictReader(open(rows_file)) if row["cut"] == cut]
    archives = [np.load(file) for file in files]
    tensors = [archive[archive.files[0]].astype(np.float32) for archive in archives]
    behind = tail(model, cut)
    best = [behind(x) for x in tensors]
    wrong, curve = [], []
    for row in rows:
        said_bits, said_agreement = float(row["bits"]), float(row["agreement"])
        if not (match := re.fullmatch(r"\(uniform step (.*)\)", row["codec"])):
            continue
        bits, agreement = uniform(tensors, best, behind, float(match[1]))
        curve.append((bits, agreement))
        # Two engines made the tensors and the answers: a level on the edge, or one near tie, may go either way.
        if abs(bits - said_bits) > 2e-3 or abs(agreement - said_agreement) > 1.01 / len(tensors):
            wrong.append(f"{row['codec']}: said {said_bits} {said_agreement}, here {bits} {agreement}")
    curve = sorted((float(r["bits"]), float(r["agreement"])) for r in rows if r["codec"].startswith("(uniform"))
    table = open(said_file).read().split("at equal agreement")[-1]
    compared = 0
    for row in rows:
        name = row["codec"]
        if not name.startswith("dct step"):
            continue
        # A finer step that keeps no more answers than a coarser one is not compared.
        beaten = any(
            float(r["bits"]) < float(row["bits"]) and float(r["agreement"]) >= float(row["agreement"])
            for r in rows
            if r["codec"].startswith("dct step")
        )
        other = None if beaten else fewest_bits(curve, float(row["agreement"]))
        line = re.search(rf"^{re.escape(name)} +[\d.]+ % +([\d.]+) +([\d.]+) +(-?[\d.]+) %", table, re.M)
        if (other is None) != (line is None):
            wrong.append(f"{name}: {line and line[0]} and {other}")
        elif line:
            compared += 1
            saved = 100 * (1 - float(row["bits"]) / other)
            if abs(float(line[2]) - other) > 0.0051 or abs(float(line[3]) - saved) > 0.051:
                wrong.append(f"{line[0]!r}, here {other:.3f} bits, {saved:.2f} % saved")
    if len(curve) < 5 or compared == 0:
        wrong.append(f"{len(curve)} points of the textbook's quantiser and {compared} to compare are too few")
    print(f"{len(curve)} points, {compared} rows compared", *wrong, sep="\n")
    return 1 if wrong else 0


sys.exit(main())
