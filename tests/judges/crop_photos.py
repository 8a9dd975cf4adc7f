"""Writes seeded square crops of photos, for calibration: crop_photos.py DIR COUNT SEED PHOTO..."""
import os, sys
import numpy as np
from PIL import Image

folder, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
photos = [Image.open(path).convert("RGB") for path in sys.argv[4:]]
random = np.random.default_rng(seed)
for index in range(count):
    photo = photos[index % len(photos)]
    side = int(min(photo.size) * random.uniform(0.6, 1.0))
    left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
    photo.crop((left, top, left + side, top + side)).save(os.path.join(folder, f"{index:04}.png"))
