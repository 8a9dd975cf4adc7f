"""Judges quantized digit models with ONNX Runtime: size beside its own quantizer's, accuracy on 2,000 labelled digits.

Usage: quantized_digits.py HELDOUT.npz FLOAT.onnx OURS.onnx qint8|quint8|static|fp16
Prints one JSON object.
"""
import json, logging, os, sys, tempfile
import numpy as np
import onnx, onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

logging.disable(logging.WARNING)
held_out, float_model, ours, kind = sys.argv[1:]
data = np.load(held_out)
images, labels = (data["images"].astype("float32") / 255)[:, None], data["labels"]

def accuracy(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    # A model with a fixed batch takes the digits in batches of that size.
    batch = value.shape[0] if isinstance(value.shape[0], int) else len(images)
    batches = [images[at : at + batch] for at in range(0, len(images), batch)]
    logits = np.concatenate([session.run(None, {value.name: some})[0] for some in batches])
    return float((logits.argmax(1) == labels).mean())

class First200(CalibrationDataReader):
    def __init__(self): self.left = iter(images[:200])
    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"input": image[None]}

onnx.checker.check_model(ours, full_check=True)
report = {"bytes": os.path.getsize(ours), "accuracy": accuracy(ours), "float_accuracy": accuracy(float_model)}
if kind != "fp16":
    with tempfile.TemporaryDirectory() as folder:
        peer = os.path.join(folder, "peer.onnx")
        if kind == "static":
            quantize_static(float_model, peer, First200(), per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        else:
            quantize_dynamic(float_model, peer, weight_type=QuantType.QInt8 if kind == "qint8" else QuantType.QUInt8)
        report |= {"peer_bytes": os.path.getsize(peer), "peer_accuracy": accuracy(peer)}
print(json.dumps(report))
