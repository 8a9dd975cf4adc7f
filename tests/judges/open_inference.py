"""Drives a server of the Open Inference Protocol with NVIDIA's own client; exits with 0 when all answers are right."""

import sys

import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(sys.argv[1])
MODEL = "doubler v1"

assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "7")
assert not client.is_model_ready("other") and not client.is_model_ready(MODEL, "8")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
metadata = client.get_model_metadata(MODEL)
assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}], metadata
assert client.get_model_repository_index()[0]["state"] == "READY"

x = np.random.default_rng(7).standard_normal((5, 3), dtype=np.float32)
for binary_in in (True, False):
    for binary_out in (True, False):
        tensor = triton.InferInput("x", x.shape, "FP32")
        tensor.set_data_from_numpy(x, binary_data=binary_in)
        outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("count", "double")]
        answer = client.infer(MODEL, [tensor], outputs=outputs, request_id="r1")
        np.testing.assert_array_equal(answer.as_numpy("double"), 2 * x)
        np.testing.assert_array_equal(answer.as_numpy("count"), [15])
        assert answer.get_response()["id"] == "r1"
        # Without a list of outputs all come back.
        np.testing.assert_array_equal(client.infer(MODEL, [tensor]).as_numpy("double"), 2 * x)

# NaN goes through binary tensors bit by bit; as JSON it is an error with a way out.
nan = triton.InferInput("x", [1, 3], "FP32")
nan.set_data_from_numpy(np.array([[1, np.nan, -np.inf]], dtype=np.float32))
answer = client.infer(MODEL, [nan], outputs=[triton.InferRequestedOutput("double", binary_data=True)])
np.testing.assert_array_equal(answer.as_numpy("double"), [[2, np.nan, -np.inf]])
try:
    client.infer(MODEL, [nan], outputs=[triton.InferRequestedOutput("double", binary_data=False)])
    raise SystemExit("NaN as JSON was not refused")
except triton.InferenceServerException as why:
    assert "binary_data" in why.message(), why

wrong = triton.InferInput("x", [2, 2], "FP32")
wrong.set_data_from_numpy(np.zeros((2, 2), dtype=np.float32))
try:
    client.infer(MODEL, [wrong])
    raise SystemExit("a wrong shape was not refused")
except triton.InferenceServerException as why:
    assert why.status() == "400" and "got FP32 [2, 2]" in why.message(), why
print("agreed")
