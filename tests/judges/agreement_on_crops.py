"""Top-1 agreement of a quantized classifier with its float model, by ONNX Runtime, on seeded crops of photos.

Usage: agreement_on_crops.py FLOAT.onnx QUANTIZED.onnx COUNT SEED PHOTO...
Square crops of 60 to 100 % of a photo's short side at random places, half of them mirrored, resized to 224 x 224.
Prints one JSON object.
"""
import json, sys
import numpy as np
import onnxruntime
from PIL import Image

float_model, quantized, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
photos = [Image.open(path).convert("RGB") for path in sys.argv[5:]]
random = np.random.default_rng(seed)

def crop(photo):
    side = int(min(photo.size) * random.uniform(0.6, 1.0))
    left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
    piece = photo.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
    if random.random() < 0.5:
        piece = piece.transpose(Image.FLIP_LEFT_RIGHT)
    return ((np.asarray(piece, "float32") - 127) / 128).transpose(2, 0, 1)[None]

def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

sessions = [session(path) for path in (float_model, quantized)]
agree = 0
for index in range(count):
    image = crop(photos[index % len(photos)])
    whole, small = (s.run(None, {s.get_inputs()[0].name: image})[0].argmax() for s in sessions)
    agree += int(whole == small)
print(json.dumps({"crops": count, "agreement": agree / count}))
