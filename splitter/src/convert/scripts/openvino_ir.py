"""ONNX to OpenVINO IR, then OpenVINO on the CPU in 32-bit floats and ONNX Runtime run the same samples."""

import openvino
from common import conclude, feeds, job, reference, samples


def main():
    task = job()
    inputs = samples(task)
    core = openvino.Core()
    # Not `openvino.convert_model`: what it folds moves QDQ models by several steps (4e-2 of the largest value on a ResNet's head,
    # where the model as it is read is exact).
    model = core.read_model(task["model"])
    openvino.save_model(model, task["output"], compress_to_fp16=task["precision"] == "f16")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(task["output"]), "CPU", settings)
    got = [list(compiled(feed).values()) for feed in feeds(inputs)]
    want, against = reference(task, inputs)
    conclude(task, "openvino " + openvino.__version__.split("-")[0], [], [], got, want, against)


main()
