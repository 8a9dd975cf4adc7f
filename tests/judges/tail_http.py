"""Sends a head's tensors to a tail with NVIDIA's own client; the answer must be ONNX Runtime's for the whole model."""

import sys

import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(sys.argv[1])
head, whole = np.load(sys.argv[2]), np.load(sys.argv[3])
(model,) = client.get_model_repository_index()
metadata = client.get_model_metadata(model["name"])
inputs = []
for value in metadata["inputs"]:
    tensor = triton.InferInput(value["name"], head[value["name"]].shape, value["datatype"])
    tensor.set_data_from_numpy(head[value["name"]])
    inputs.append(tensor)
answer = client.infer(model["name"], inputs).as_numpy(metadata["outputs"][0]["name"])
expected = whole["out_0"]
difference = np.max(np.abs(answer - expected)) / np.max(np.abs(expected))
assert answer.shape == expected.shape and difference <= 1e-3, difference
assert np.argmax(answer) == np.argmax(expected)
print(f"differs by {difference:.1e}")
print("agreed")
