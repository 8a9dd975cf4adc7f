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
    logits = session.run(None, {session.get_inputs()[0].name: images})[0]
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
