//! Promise: a stage makes of an image the very tensor that Pillow makes of it.
//!
//! The judges: Pillow itself, and the input that a training pipeline made (`efficientnet_lite0.npz`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use kerf_runtime::preprocess::Preprocessor;
use kerf_runtime::self_test::relative_difference;
use kerf_runtime::source::npz::Archive;
use kerf_runtime::source::{npy, picture};
use kerf_tests::{fixture, python};
use kerf_wire::manifest::{Colour, Crop, Layout, Preprocess, Resize};
use kerf_wire::{DType, Dim, TensorSpec};

fn efficientnet(resize: Resize) -> Preprocessor {
    let how = Preprocess {
        input: "input".into(),
        colour: Colour::Rgb,
        resize,
        crop: Crop::Centre { fraction: 0.875 },
        width: 224,
        height: 224,
        mean: vec![127.0],
        scale: vec![128.0],
        layout: Layout::Nchw,
    };
    let dims = [Dim::Dynamic, Dim::Fixed(3), Dim::Fixed(224), Dim::Fixed(224)];
    Preprocessor::new(&how, &TensorSpec::new("input", DType::F32, dims).unwrap()).unwrap()
}

#[test]
fn a_photo_becomes_the_very_tensor_that_the_training_pipeline_made() {
    let photo = picture::open(&fixture("images/photos/chelsea.png")).unwrap();
    let got = efficientnet(Resize::Bicubic).apply(&photo).unwrap();
    let known = std::fs::read(fixture("models/efficientnet_lite0.npz")).unwrap();
    let expected = Archive::from_bytes(&known).unwrap().read("in_0").unwrap();
    assert!(relative_difference(&got, &expected) < 1e-6);
}

/// Prints the bytes of an `.npy`: the photo cropped and resized by Pillow.
const PILLOW: &str = "\
import io, sys, numpy
from PIL import Image
file, how = sys.argv[1:]
image = Image.open(file).convert('RGB')
side = int(min(image.size) * 0.875)
left, top = (image.width - side) // 2, (image.height - side) // 2
image = image.crop((left, top, left + side, top + side)).resize((224, 224), getattr(Image, how))
pixels = numpy.asarray(image, numpy.float32).transpose(2, 0, 1)[None]
out = io.BytesIO()
numpy.save(out, numpy.ascontiguousarray((pixels - 127) / 128))
sys.stdout.buffer.write(out.getvalue())
";

#[test]
fn resizing_is_pillows_bit_by_bit() {
    let Some(_) = python() else { return };
    for (photo, exact) in [("astronaut.png", true), ("coffee.png", true), ("rocket.jpg", false)] {
        let file = fixture(&format!("images/photos/{photo}"));
        for (resize, name) in [
            (Resize::Nearest, "NEAREST"),
            (Resize::Bilinear, "BILINEAR"),
            (Resize::Bicubic, "BICUBIC"),
            (Resize::Lanczos, "LANCZOS"),
        ] {
            let got = efficientnet(resize).apply(&picture::open(&file).unwrap()).unwrap();
            let output = python()
                .unwrap()
                .args(["-c", PILLOW])
                .arg(&file)
                .arg(name)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let expected = npy::read(output.stdout.as_slice()).unwrap();
            let steps = |(a, b): (&f32, &f32)| (a - b).abs() * 128.0;
            let pairs = || got.as_slice::<f32>().iter().zip(expected.as_slice::<f32>());
            let largest = pairs().map(steps).fold(0.0_f32, f32::max);
            let mean = pairs().map(steps).sum::<f32>() / got.as_slice::<f32>().len() as f32;
            // Two JPEG decoders may round differently; a resize adds nothing to that.
            let (most, mean_most) = if exact { (1e-3, 1e-4) } else { (8.0, 0.05) };
            assert!(
                largest <= most && mean <= mean_most,
                "{photo} {name}: largest {largest}, mean {mean}"
            );
        }
    }
}
