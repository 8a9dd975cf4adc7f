"""ONNX to TFLite: onnx2tf makes a Keras model of the part, TensorFlow's own converter makes TFLite of that, in float or
in int8 throughout. Then TensorFlow Lite and ONNX Runtime run the same samples."""

import itertools
import os
import sys
import tempfile

import numpy as np
from common import conclude, feeds, job, reference, relative, samples


def channels_last(rank):
    """onnx2tf puts axis 1 of everything with three axes or more last."""
    return [0, *range(2, rank), 1] if rank >= 3 else list(range(rank))


# onnx2tf guesses where axes must be turned back, e.g. before Flatten, and guesses wrongly for some parts. In this order: its
# default, its default without the comparison that leads it, and inputs with their axes as they are.
ATTEMPTS = [
    ({}, channels_last),
    ({"disable_strict_mode": True}, channels_last),
    ({"keep_shape": True}, lambda rank: list(range(rank))),
]
# max|a-b| / max|b| in 32-bit floats at which a conversion is right.
RIGHT = 1e-3


def attempt(path, count, settings):
    """The part as a Keras model."""
    import onnx2tf

    settings = dict(settings)
    if settings.pop("keep_shape", False):
        settings["keep_shape_absolutely_input_names"] = [f"in_{k}" for k in range(count)]
    # Without this file in the current folder onnx2tf downloads photos for every model that takes one.
    np.save("calibration_image_sample_data_20x128x128x3_float32.npy", np.zeros((20, 128, 128, 3), np.float32))
    return onnx2tf.convert(
        input_onnx_file_path=path,
        output_folder_path="saved",
        disable_model_save=True,
        non_verbose=True,
        verbosity="error",
        **settings,
    )


def keras(path, feed, want):
    """The first conversion that is right in floats, and the order of its inputs' axes; else the one that is least wrong."""
    best = None
    for settings, order in ATTEMPTS:
        try:
            model = attempt(path, len(feed), settings)
            arrays = [np.transpose(array, order(array.ndim)) for array in feed]
            got = model(arrays if len(arrays) > 1 else arrays[0])
            got = [np.asarray(a) for a in (got if isinstance(got, (list, tuple)) else [got])]
            difference = places(got, want)[0]
        except (Exception, SystemExit) as why:
            print(f"attempt {settings}: {why}", file=sys.stderr)
            continue
        print(f"attempt {settings}: max|a-b| / max|b| is {difference:.2e} in floats", file=sys.stderr)
        if best is None or difference < best[0]:
            best = (difference, model, order)
        if difference <= RIGHT:
            break
    if best is None:
        raise SystemExit("onnx2tf does not convert it; what it said is above")
    return best[1], best[2]


def convert(model, names, inputs, order, int8):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        def representative():
            for feed in feeds(inputs):
                tensors = [np.transpose(array, order(array.ndim)) for array in feed]
                yield dict(zip(names, tensors))

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        # One scale a weight in fully connected layers alone: TensorFlow Lite 2.9 answers zeros where they have one a channel.
        # Convolutions need one a channel: with one a weight, MobileNetV2's first blocks were 1.7 times their largest value off.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    else:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


class Lite:
    """A TFLite file that takes and gives floats."""

    def __init__(self, content, names, order):
        import tensorflow as tf

        self.order = order
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
            array = np.transpose(feed[k], self.order(feed[k].ndim))
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


def places(got, want):
    """Which output of the part each tensor is, and the order of its axes: the pairing that differs least, and by how much."""
    best = None
    for pairing in itertools.permutations(range(len(want))) if len(want) <= 5 else [tuple(range(len(want)))]:
        orders, worst = [], 0.0
        for array, k in zip(got, pairing):
            rank = want[k].ndim
            choices = [list(range(rank)), channels_last(rank)] if array.ndim == rank else []
            priced = [(relative(np.transpose(array, np.argsort(o)).astype(np.float64), want[k]), o) for o in choices]
            difference, order = min(priced, default=(float("inf"), None))
            worst = max(worst, difference)
            orders.append(order)
        if best is None or worst < best[0]:
            best = (worst, pairing, orders)
    if not np.isfinite(best[0]):
        shapes = [list(a.shape) for a in got], [list(b.shape) for b in want]
        raise SystemExit(f"the outputs of the converted part have the shapes {shapes[0]}, the part's {shapes[1]}")
    return best


def main():
    task = job()
    os.chdir(tempfile.mkdtemp(dir=os.path.dirname(task["output"])))
    import onnx2tf
    import tensorflow as tf

    inputs = samples(task)
    want, against = reference(task, inputs)
    model, order = keras(task["model"], feeds(inputs)[0], want[0])
    names = [tensor.name for tensor in model.inputs]
    content = convert(model, names, inputs, order, task["precision"] == "int8")
    lite = Lite(content, names, order)
    _, pairing, orders = places(lite.run(feeds(inputs)[0]), want[0])
    got = []
    for feed in feeds(inputs):
        answer = [None] * len(pairing)
        for array, k, axes in zip(lite.run(feed), pairing, orders):
            answer[k] = np.transpose(array, np.argsort(axes))
        got.append(answer)
    with open(task["output"], "wb") as file:
        file.write(content)
    ranks = [array.ndim - 1 for array in inputs]
    conclude(
        task,
        f"onnx2tf {onnx2tf.__version__}, tensorflow {tf.__version__}",
        [{"index": k, "order": order(ranks[k])} for k in lite.takes],
        [{"index": k, "order": axes} for k, axes in zip(pairing, orders)],
        got,
        want,
        against,
    )


main()
