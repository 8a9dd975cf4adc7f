"""ONNX to TFLite: onnx2tf makes a Keras model of the part, TensorFlow's own converter makes TFLite of that, in float or
in int8 throughout. Then TensorFlow Lite and ONNX Runtime run the same samples."""

import itertools
import os
import tempfile

import numpy as np
from common import compare, feeds, finish, job, reference, relative, samples


def channels_last(rank):
    """onnx2tf puts axis 1 of everything with three axes or more last."""
    return [0, *range(2, rank), 1] if rank >= 3 else list(range(rank))


def keras(model, folder):
    import onnx2tf

    # Without this file in the current folder onnx2tf downloads photos for every model that takes one.
    np.save("calibration_image_sample_data_20x128x128x3_float32.npy", np.zeros((20, 128, 128, 3), np.float32))
    return onnx2tf.convert(input_onnx_file_path=model, output_folder_path=folder, non_verbose=True, verbosity="error")


def convert(model, names, inputs, int8):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        def representative():
            for feed in feeds(inputs):
                tensors = [np.transpose(array, channels_last(array.ndim)) for array in feed]
                yield dict(zip(names, tensors))

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        # One scale a weight: TensorFlow Lite 2.9 answers zeros for fully connected layers with one scale a channel.
        converter._experimental_disable_per_channel = True
    else:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


class Lite:
    """A TFLite file that takes and gives floats."""

    def __init__(self, content, names):
        import tensorflow as tf

        self.interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
        self.interpreter.allocate_tensors()
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()
        signature = self.interpreter.get_signature_runner().get_input_details()
        # Which of the part's inputs each tensor of the file is: the signature knows them by name.
        at = {detail["index"]: names.index(name) for name, detail in signature.items()}
        self.takes = [at[detail["index"]] for detail in self.inputs]

    def run(self, feed):
        for detail, k in zip(self.inputs, self.takes):
            array = np.transpose(feed[k], channels_last(feed[k].ndim))
            scale, zero = detail["quantization"]
            if scale and array.dtype == np.float32:
                limits = np.iinfo(detail["dtype"])
                array = np.clip(np.round(array / scale) + zero, limits.min, limits.max)
            self.interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]))
        self.interpreter.invoke()
        answers = []
        for detail in self.outputs:
            array = self.interpreter.get_tensor(detail["index"])
            scale, zero = detail["quantization"]
            answers.append((array.astype(np.float32) - zero) * np.float32(scale) if scale else array)
        return answers


def places(lite, feed, want):
    """Which output of the part each tensor of the file is, and the order of its axes: the pairing that differs least."""
    got = lite.run(feed)
    best = None
    for pairing in itertools.permutations(range(len(want))) if len(want) <= 5 else [tuple(range(len(want)))]:
        orders, cost = [], 0.0
        for array, k in zip(got, pairing):
            rank = want[k].ndim
            choices = [list(range(rank)), channels_last(rank)] if array.ndim == rank else []
            priced = [(relative(np.transpose(array, np.argsort(o)).astype(np.float64), want[k]), o) for o in choices]
            difference, order = min(priced, default=(float("inf"), None))
            cost += difference
            orders.append(order)
        if best is None or cost < best[0]:
            best = (cost, pairing, orders)
    cost, pairing, orders = best
    if not np.isfinite(cost):
        shapes = [list(a.shape) for a in got], [list(b.shape) for b in want]
        raise SystemExit(f"the outputs of the converted part have the shapes {shapes[0]}, the part's {shapes[1]}")
    return pairing, orders


def main():
    task = job()
    os.chdir(tempfile.mkdtemp(dir=os.path.dirname(task["output"])))
    import onnx2tf
    import tensorflow as tf

    inputs = samples(task)
    model = keras(task["model"], "saved")
    names = [tensor.name for tensor in model.inputs]
    content = convert(model, names, inputs, task["precision"] == "int8")
    want, against = reference(task, inputs)
    lite = Lite(content, names)
    pairing, orders = places(lite, feeds(inputs)[0], want[0])
    got = []
    for feed in feeds(inputs):
        answer = [None] * len(pairing)
        for array, k, order in zip(lite.run(feed), pairing, orders):
            answer[k] = np.transpose(array, np.argsort(order))
        got.append(answer)
    with open(task["output"], "wb") as file:
        file.write(content)
    ranks = [array.ndim - 1 for array in inputs]
    finish({
        "tool": f"onnx2tf {onnx2tf.__version__}, tensorflow {tf.__version__}",
        "inputs": [{"index": k, "order": channels_last(ranks[k])} for k in lite.takes],
        "outputs": [{"index": k, "order": order} for k, order in zip(pairing, orders)],
        "comparison": compare(got, want, against),
    })


main()
