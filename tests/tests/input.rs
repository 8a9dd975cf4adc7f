//! `kerf input` prepares an image as Pillow and NumPy would, and as the board will.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use kerf_tests::{EFFICIENTNET_IMAGE, PHOTOS, fail, fixture, kerf, model, python, succeed};

const JUDGE: &str = r"
import sys, numpy as np
from PIL import Image
kind, ours, *photos = sys.argv[1:]
def centre(path):
    photo = Image.open(path).convert('RGB'); w, h = photo.size; side = int(min(w, h) * 0.875)
    left, top = (w - side) // 2, (h - side) // 2
    a = np.asarray(photo.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC), 'float32')
    return ((a - 127) / 128).transpose(2, 0, 1)
def grey(path):
    a = np.asarray(Image.open(path).convert('L').resize((32, 24), Image.BILINEAR), 'float32')
    return (a / 255)[:, :, None]
expected = np.stack([{'centre': centre, 'grey': grey}[kind](p) for p in photos])
if ours.endswith('.pb'):
    import onnx
    tensor = onnx.TensorProto(); tensor.ParseFromString(open(ours, 'rb').read()); found = onnx.numpy_helper.to_array(tensor)
else:
    found = np.load(ours)
    if ours.endswith('.npz'): found = found[found.files[0]]
print(found.shape == expected.shape, found.dtype, float(abs(found - expected).max()))
";

fn judged(kind: &str, ours: &std::path::Path, photos: &[&str]) -> Option<String> {
    let mut python = python()?;
    python.args(["-c", JUDGE, kind]).arg(ours);
    for photo in photos {
        python.arg(fixture(&format!("images/photos/{photo}")));
    }
    Some(succeed(&mut python).trim().to_owned())
}

#[test]
fn an_image_like_a_model_is_what_pillow_makes_in_each_form() {
    let dir = tempfile::tempdir().unwrap();
    for ending in ["npz", "npy", "pb"] {
        let out = dir.path().join(format!("input.{ending}"));
        succeed(
            kerf()
                .arg("input")
                .arg(fixture("images/photos/chelsea.png"))
                .arg("--like")
                .arg(model("efficientnet_lite0"))
                .args(EFFICIENTNET_IMAGE)
                .arg("-o")
                .arg(&out),
        );
        let Some(said) = judged("centre", &out, &["chelsea.png"]) else {
            return;
        };
        assert_eq!(said, "True float32 0.0", "{ending}");
    }
}

#[test]
fn a_folder_is_one_batch_in_the_order_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("batch.npy");
    let settings = [
        "--size", "32x24", "--colour", "grey", "--axes", "nhwc", "--scale", "255",
    ];
    succeed(
        kerf()
            .arg("input")
            .arg(fixture("images/photos"))
            .args(settings)
            .arg("-o")
            .arg(&out),
    );
    let Some(said) = judged("grey", &out, &PHOTOS) else {
        return;
    };
    let mut words = said.split(' ');
    assert_eq!((words.next(), words.next()), (Some("True"), Some("float32")), "{said}");
    // Two decoders of JPEG may differ by a few steps of 1/255 a channel.
    assert!(words.next().unwrap().parse::<f64>().unwrap() < 4.0 / 255.0, "{said}");
}

#[test]
fn what_does_not_fit_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("input.npz");
    let photo = fixture("images/photos/chelsea.png");
    let size = fail(kerf().arg("input").arg(&photo).arg("-o").arg(&out), 2);
    assert!(size.contains("--size"), "{size}");
    let form = fail(
        kerf()
            .arg("input")
            .arg(&photo)
            .args(["--size", "8x8", "-o", "input.txt"]),
        2,
    );
    assert!(form.contains("--format"), "{form}");
    let none = fail(
        kerf()
            .arg("input")
            .arg(dir.path())
            .args(["--size", "8x8", "-o"])
            .arg(&out),
        2,
    );
    assert!(none.contains("no image"), "{none}");
}
