//! What codecs are compared with: the uniform quantiser of the textbooks, and the image itself sent whole.

use std::collections::BTreeMap;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};
use kerf_runtime::tensor::Tensor;
use kerf_wire::DType;
use kerf_wire::manifest::{Layout, Preprocess};

use super::tally::Score;
use super::trial::{Passed, Trial, TrialError};

/// Every crossing float rounded to multiples of `step` standard deviations of all samples, priced at the entropy of what
/// comes out over all samples: no coder can be shorter without knowing more than one table.
///
/// # Errors
/// When a part does not run.
pub fn uniform(trial: &mut Trial, step: f64) -> Result<Score, TrialError> {
    let deviations: Vec<f64> = (0..trial.values().len())
        .map(|value| deviation(&trial.tensors(value)))
        .collect();
    let levels = |tensor: &Tensor, deviation: f64| -> Vec<f64> {
        let one = (step * deviation).max(f64::MIN_POSITIVE);
        tensor
            .as_slice::<f32>()
            .iter()
            .map(|x| (f64::from(*x) / one).round())
            .collect()
    };
    let mut counts: BTreeMap<i64, f64> = BTreeMap::new();
    let mut all = 0.0;
    for (value, deviation) in deviations.iter().enumerate() {
        for tensor in trial.tensors(value) {
            for level in levels(tensor, *deviation) {
                *counts.entry(whole(level)).or_default() += 1.0;
                all += 1.0;
            }
        }
    }
    let entropy: f64 = counts.values().map(|n| -n / all * (n / all).log2()).sum();
    trial.judge(|tensors| {
        let mut passed = Passed::default();
        for (tensor, deviation) in tensors.iter().zip(&deviations) {
            let mut back = tensor.clone();
            if tensor.dtype() == DType::F32 {
                let levels = levels(tensor, *deviation);
                passed.payload_bits += entropy * levels.len() as f64;
                for (x, level) in back.as_slice_mut::<f32>().iter_mut().zip(levels) {
                    #[allow(clippy::cast_possible_truncation, reason = "rounded to the nearest 32-bit float")]
                    let element = (level * step * deviation) as f32;
                    *x = element;
                }
            }
            passed.tensors.push(back);
        }
        Ok(passed)
    })
}

fn whole(level: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a count of steps, saturating")]
    let whole = level as i64;
    whole
}

/// Standard deviation of all elements.
pub(super) fn deviation(tensors: &[&Tensor]) -> f64 {
    let all = || tensors.iter().flat_map(|t| t.as_slice::<f32>()).map(|x| f64::from(*x));
    let count = all().count().max(1) as f64;
    let mean = all().sum::<f64>() / count;
    (all().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt()
}

/// An image input as a JPEG of this quality would bring it: the tensor back, and the file's length. None where the input
/// is no image of one or three channels.
///
/// # Errors
/// When the image does not encode.
pub fn jpeg(input: &Tensor, how: &Preprocess, quality: u8) -> Result<Option<(Tensor, usize)>, image::ImageError> {
    let channels = how.colour.channels();
    let (width, height) = (how.width as usize, how.height as usize);
    if input.dtype() != DType::F32 || input.as_slice::<f32>().len() != channels * width * height {
        return Ok(None);
    }
    let place = |pixel: usize, channel: usize| match how.layout {
        Layout::Nchw => channel * width * height + pixel,
        Layout::Nhwc => pixel * channels + channel,
    };
    let of = |numbers: &[f32], channel: usize| numbers.get(channel).or(numbers.first()).copied().unwrap_or(1.0);
    let mut pixels = vec![0_u8; channels * width * height];
    for (i, byte) in pixels.iter_mut().enumerate() {
        let (pixel, channel) = (i / channels, i % channels);
        let x = input.as_slice::<f32>()[place(pixel, channel)];
        let level = x * of(&how.scale, channel) + of(&how.mean, channel);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0…255"
        )]
        let level = level.round().clamp(0.0, 255.0) as u8;
        *byte = level;
    }
    let colour = if channels == 1 {
        ExtendedColorType::L8
    } else {
        ExtendedColorType::Rgb8
    };
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode(&pixels, how.width, how.height, colour)?;
    let back = image::load_from_memory_with_format(&file, ImageFormat::Jpeg)?;
    let back = if channels == 1 {
        back.to_luma8().into_raw()
    } else {
        back.to_rgb8().into_raw()
    };
    let mut tensor = input.clone();
    for (i, byte) in back.iter().enumerate() {
        let (pixel, channel) = (i / channels, i % channels);
        let x = (f32::from(*byte) - of(&how.mean, channel)) / of(&how.scale, channel);
        tensor.as_slice_mut::<f32>()[place(pixel, channel)] = x;
    }
    Ok(Some((tensor, file.len())))
}
