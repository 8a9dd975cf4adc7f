"""Runs models on ONNX Runtime and keeps what goes in and comes out.

Standard input: JSON [{"model", "inputs", "output"}]: a model, an .npz with in_0 … in its inputs' order, and the .npz to write
with in_0 … and out_0 …; inputs of a part that are not the model's are not asked for.
"""

import json
import sys

import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 4
for job in json.load(sys.stdin):
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    known = numpy.load(job["inputs"])
    feed = {value.name: known[f"in_{index}"] for index, value in enumerate(session.get_inputs())}
    arrays = {f"in_{index}": array for index, array in enumerate(feed.values())}
    arrays |= {f"out_{index}": array for index, array in enumerate(session.run(None, feed))}
    numpy.savez(job["output"], **arrays)
