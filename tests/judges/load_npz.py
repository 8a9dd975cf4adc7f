"""Prints each array of an .npz: name, type, shape and the SHA-256 of its bytes, as JSON lines."""
import hashlib, json, sys
import numpy as np
with np.load(sys.argv[1]) as arrays:
    for name in sorted(arrays.files):
        a = arrays[name]
        print(json.dumps({"name": name, "dtype": str(a.dtype), "shape": list(a.shape), "sha256": hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()}))
