"""Makes inputs for a model and says what ONNX Runtime answers to each.

Usage: rows.py MODEL.onnx KNOWN.npz FOLDER COUNT. Writes FOLDER/row-0.npz … (a tensor an input, by name): the known input, then
seeded variations of it. Prints {"row-0.npz": {"OUTPUT": [numbers …]}, …}. The first row's answer must be the known one.
"""

import json
import os
import sys

import numpy as np
import onnxruntime as ort

model, known, folder, count = sys.argv[1], np.load(sys.argv[2]), sys.argv[3], int(sys.argv[4])
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
names = [value.name for value in session.get_inputs()]
generator = np.random.default_rng(7)
answers = {}
for row in range(count):
    feed = {name: known[f"in_{k}"] for k, name in enumerate(names)}
    if row:
        feed = {n: (v * generator.uniform(0.2, 1.0) + generator.normal(0, 0.1, v.shape)).astype(v.dtype) for n, v in feed.items()}
    outputs = session.run(None, feed)
    if row == 0:
        for k, output in enumerate(outputs):
            np.testing.assert_allclose(output, known[f"out_{k}"], rtol=1e-3, atol=1e-4)
    file = f"row-{row}.npz"
    np.savez(os.path.join(folder, file), **feed)
    answers[file] = {v.name: o.ravel().tolist() for v, o in zip(session.get_outputs(), outputs)}
print(json.dumps(answers))
