"""Counts MACs with onnx-tool: reads model files as arguments, prints {"NAME": MACS} as JSON."""

import contextlib
import io
import json
import os
import sys

import numpy
import onnx_tool

counts = {}
for path in sys.argv[1:]:
    stem = os.path.splitext(path)[0]
    stored = numpy.load(stem + ".npz")
    with contextlib.redirect_stdout(io.StringIO()):
        model = onnx_tool.Model(path, {"constant_folding": True})
        names = list(model.graph.input)
        model.graph.shape_infer({name: stored[f"in_{k}"] for k, name in enumerate(names)})
        model.graph.profile()
    counts[os.path.basename(stem)] = int(sum(model.graph.macs))
print(json.dumps(counts))
