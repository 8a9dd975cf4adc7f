"""Judges bundles by ONNX Runtime and onnx.checker: the parts, run one after the other, must give what the whole gives.

Reads jobs (JSON) on stdin: [{"model": FILE, "inputs": NPZ or null, "bundles": [DIR or MANIFEST …]}, …].
Prints one line of JSON a bundle: {"bundle", "relative", "argmax", "error"}. Graph optimisation is off, so that whole and
parts run the very same kernels: most differences are exactly 0.
"""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort

TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def session(path):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def random_inputs(whole):
    generator = np.random.default_rng(1)
    feed = {}
    for value in whole.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in value.shape]
        kind = TYPES[value.type]
        if np.issubdtype(kind, np.floating):
            feed[value.name] = generator.standard_normal(shape).astype(kind)
        else:
            feed[value.name] = generator.integers(0, 2, shape).astype(kind)
    return feed


def relative(got, want):
    """max|a-b| / max|b|; infinite where shapes or NaNs differ."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if got.size == 0 or got.tobytes() == want.tobytes():
        return 0.0
    a, b = got.astype(np.float64), want.astype(np.float64)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    largest = np.abs(b).max()
    difference = np.abs(a - b).max()
    return float(difference / largest) if largest > 0 else float(difference)


def judge(place, whole_outputs, feed):
    folder = place if os.path.isdir(place) else os.path.dirname(place)
    with open(os.path.join(place, "manifest.json") if os.path.isdir(place) else place) as file:
        manifest = json.load(file)
    here = dict(feed)
    for index, part in enumerate(manifest["parts"]):
        if part["artifacts"]:
            path = os.path.join(folder, part["artifacts"][0]["file"])
            onnx.checker.check_model(path)
            run = session(path)
            names = [value.name for value in run.get_inputs()]
            if names != part["inputs"]:
                raise ValueError(f"part {index} has inputs {names}, its manifest says {part['inputs']}")
            made = dict(zip([v.name for v in run.get_outputs()], run.run(None, {n: here[n] for n in names})))
            if list(made) != part["outputs"]:
                raise ValueError(f"part {index} has outputs {list(made)}, its manifest says {part['outputs']}")
            here.update(made)
        cuts = manifest["cuts"]
        leaving = cuts[index]["values"] if index < len(cuts) else manifest["model"]["outputs"]
        here = {name: here[name] for name in leaving}
    worst, agree = 0.0, True
    for name, want in whole_outputs.items():
        worst = max(worst, relative(here[name], want))
        if want.ndim and want.shape[-1] > 1 and here[name].shape == want.shape:
            agree = agree and bool((here[name].argmax(-1) == want.argmax(-1)).all())
    return worst, agree


def judge_all(job):
    whole = session(job["model"])
    feed = random_inputs(whole)
    if job.get("inputs"):
        stored = np.load(job["inputs"])
        feed = {value.name: stored[f"in_{k}"] for k, value in enumerate(whole.get_inputs())}
    outputs = dict(zip([v.name for v in whole.get_outputs()], whole.run(None, feed)))
    for place in job["bundles"]:
        try:
            worst, agree = judge(place, outputs, feed)
            verdict = {"bundle": place, "relative": worst if worst != float("inf") else 1e30, "argmax": agree}
        except Exception as why:  # the judge says what it was and goes on
            verdict = {"bundle": place, "error": f"{type(why).__name__}: {why}"[:400]}
        print(json.dumps(verdict), flush=True)


for job in json.load(sys.stdin):
    judge_all(job)
