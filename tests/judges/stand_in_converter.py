"""Stands in for TensorFlow's converter: gives a file that the real one made, and ONNX Runtime's own answers with this much noise.

stand_in_converter.py FILE NOISE, in the folder of the scripts; the job comes on stdin as for the real one.
"""

import os
import shutil
import sys

sys.path.insert(0, os.getcwd())
import numpy
from common import conclude, job, reference, samples

task = job()
print("much that TensorFlow says", file=sys.stderr)
assert os.path.getsize("convert.py")
want, against = reference(task, samples(task))
random = numpy.random.default_rng(1)
noise = float(sys.argv[2])
got = []
for answer in want:
    spread = [random.standard_normal(a.shape) * a.std() for a in answer]
    got.append([(a + noise * s).astype(a.dtype) for a, s in zip(answer, spread)])
shutil.copyfile(sys.argv[1], task["output"])
order = [{"index": 0, "order": [0, 2, 3, 1]}]
conclude(task, "a stand-in 1.0", order, order, got, want, against)
