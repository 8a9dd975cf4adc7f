"""ONNX to OpenVINO IR, then OpenVINO on the CPU in 32-bit floats and ONNX Runtime run the same samples."""

import openvino
from common import compare, feeds, finish, job, reference, samples


def main():
    task = job()
    inputs = samples(task)
    model = openvino.convert_model(task["model"])
    openvino.save_model(model, task["output"], compress_to_fp16=task["precision"] == "f16")
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(task["output"]), "CPU", settings)
    got = [list(compiled(feed).values()) for feed in feeds(inputs)]
    want, against = reference(task, inputs)
    finish({
        "tool": "openvino " + openvino.__version__.split("-")[0],
        "inputs": [],
        "outputs": [],
        "comparison": compare(got, want, against),
    })


main()
