"""What the converters share: the job comes on stdin, the result goes to stdout, all else that is printed to stderr."""

import json
import os
import sys

import numpy as np


def job():
    """The job; from here on stdout belongs to the result alone."""
    global _result
    _result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return json.load(sys.stdin)


def finish(result):
    json.dump(result, _result)
    _result.flush()


def samples(job):
    """For each input of the part, all samples: an array [count, ...]."""
    with np.load(job["samples"]) as arrays:
        return [arrays[f"in_{k}"] for k in range(len(arrays.files))]


def feeds(inputs):
    """One list of input arrays a sample."""
    return [[array[k] for array in inputs] for k in range(inputs[0].shape[0])]


def reference(job, inputs):
    """What ONNX Runtime gives for each sample, and its version."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    answers = [session.run(None, dict(zip(names, feed))) for feed in feeds(inputs)]
    return answers, "onnxruntime " + onnxruntime.__version__


def relative(got, want):
    """max|a-b| / max|b|; infinite where they cannot be compared."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    scale = float(np.abs(want).max(initial=0.0))
    return float(np.abs(got - want).max(initial=0.0)) / (scale or 1.0)


def compare(got, want, against):
    """The worst differences over all samples, how often the largest element of a row is the same one, and the error's share
    of the signal; and the worst difference of the first sample, which becomes the self-test's."""
    worst, worst_relative, rows, agree, error, signal, first = 0.0, 0.0, 0, 0, 0.0, 0.0, 0.0
    for number, (ours, theirs) in enumerate(zip(got, want)):
        for a, b in zip(ours, theirs):
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
            worst_relative = max(worst_relative, min(relative(a, b), 1e300))
            first = worst_relative if number == 0 else first
            if a.shape == b.shape:
                worst = max(worst, min(float(np.abs(a - b).max(initial=0.0)), 1e300))
                error, signal = error + float(((a - b) ** 2).sum()), signal + float((b**2).sum())
                if b.ndim >= 1 and b.shape[-1] > 1:
                    same = a.reshape(-1, b.shape[-1]).argmax(1) == b.reshape(-1, b.shape[-1]).argmax(1)
                    rows, agree = rows + same.size, agree + int(same.sum())
    return first, {
        "against": against,
        "inputs": len(got),
        "difference_max": worst,
        "difference_relative": worst_relative,
        "difference_rms": min(float(np.nan_to_num((error / (signal or 1.0)) ** 0.5, nan=np.inf)), 1e300),
        "argmax_agreement": agree / rows if rows else 1.0,
    }


def conclude(job, tool, inputs, outputs, got, want, against):
    """Writes what the converted part gave, an array [count, ...] an output of the part, and the result."""
    arrays = [np.stack([np.asarray(answer[k], kind.dtype) for answer in got]) for k, kind in enumerate(want[0])]
    np.savez(job["answers"], **{f"out_{k}": array for k, array in enumerate(arrays)})
    first, comparison = compare(got, want, against)
    finish({"tool": tool, "inputs": inputs, "outputs": outputs, "first_relative": first, "comparison": comparison})
