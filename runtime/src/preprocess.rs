//! From image to tensor, exactly as the manifest says.
//!
//! Owns: colour, crop, resize, mean and scale, layout. Must not know: files, engines.
//! Why exactly: a network answers a little differently for every pixel that differs from its training, and nobody sees why.
//! Training pipelines resize with Pillow, so `resample` computes what Pillow computes, bit by bit.

use image::DynamicImage;
use kerf_wire::manifest::{Colour, Crop, Layout, Preprocess};
use kerf_wire::{DType, TensorSpec};

use crate::limits::MAX_IMAGE_SIDE;
use crate::tensor::Tensor;

mod resample;

use resample::{Pixels, resize};

/// Makes one graph input out of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessor {
    how: Preprocess,
    dtype: DType,
    channels: usize,
}

/// Why an image cannot become this input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// The manifest asks for what cannot be.
    #[error("preprocessing of {input:?}: {what}")]
    Impossible {
        /// The graph input.
        input: String,
        /// Expected and got.
        what: String,
    },
    /// The image is too small to be cropped or resized.
    #[error("the image has {width} × {height} pixels, nothing is left of it after the crop")]
    TooSmall {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
}

impl Preprocessor {
    /// Checks that what the manifest asks for makes a tensor of this spec.
    ///
    /// # Errors
    /// When sizes, channels, layout or type do not fit together.
    pub fn new(how: &Preprocess, spec: &TensorSpec) -> Result<Self, PreprocessError> {
        let refuse = |what: String| {
            Err(PreprocessError::Impossible {
                input: how.input.clone(),
                what,
            })
        };
        let channels = match how.colour {
            Colour::Rgb | Colour::Bgr => 3,
            Colour::Grey => 1,
        };
        let made = Self {
            how: how.clone(),
            dtype: spec.dtype,
            channels,
        };
        let sides = [how.width, how.height];
        if sides.iter().any(|side| *side == 0 || *side > MAX_IMAGE_SIDE) {
            return refuse(format!("{sides:?} pixels, expected 1 to {MAX_IMAGE_SIDE} a side"));
        }
        for (what, list) in [("mean", &how.mean), ("scale", &how.scale)] {
            let fits = (list.len() == 1 || list.len() == channels) && list.iter().all(|x| x.is_finite());
            if !fits {
                return refuse(format!("{what} {list:?}, expected one number or {channels}"));
            }
        }
        if how.scale.contains(&0.0) {
            return refuse("a scale of 0".to_owned());
        }
        if let Crop::Centre { fraction } = how.crop
            && !(fraction > 0.0 && fraction <= 1.0)
        {
            return refuse(format!("a crop to {fraction}, expected more than 0 and at most 1"));
        }
        let plain = how.mean.iter().all(|m| *m == 0.0) && how.scale.iter().all(|s| (*s - 1.0).abs() < f32::EPSILON);
        match spec.dtype {
            DType::F32 => {}
            DType::U8 if plain => {}
            other => {
                return refuse(format!(
                    "it makes f32 (or u8 with mean 0 and scale 1), the input is {other}"
                ));
            }
        }
        if !spec.accepts(spec.dtype, &made.shape()) {
            return refuse(format!("it makes {:?}, the input is {spec}", made.shape()));
        }
        Ok(made)
    }

    /// The graph input that it makes.
    pub fn input(&self) -> &str {
        &self.how.input
    }

    /// The tensor's shape, a batch of one.
    fn shape(&self) -> [u32; 4] {
        let channels = if self.channels == 1 { 1 } else { 3 };
        match self.how.layout {
            Layout::Nchw => [1, channels, self.how.height, self.how.width],
            Layout::Nhwc => [1, self.how.height, self.how.width, channels],
        }
    }

    /// One image as a batch of one.
    ///
    /// # Errors
    /// When nothing is left of the image after the crop.
    pub fn apply(&self, image: &DynamicImage) -> Result<Tensor, PreprocessError> {
        let pixels = self.fit(&self.coloured(image))?;
        let impossible = |why: kerf_wire::WireError| PreprocessError::Impossible {
            input: self.how.input.clone(),
            what: why.to_string(),
        };
        let mut tensor = Tensor::zeros(self.dtype, &self.shape()).map_err(impossible)?;
        if self.dtype == DType::U8 {
            self.lay_out(&pixels, tensor.bytes_mut(), |value, _| value);
        } else {
            let pick = |list: &[f32], channel: usize| list.get(channel).or(list.first()).copied().unwrap_or(0.0);
            let (mean, scale) = (&self.how.mean, &self.how.scale);
            self.lay_out(&pixels, tensor.as_slice_mut::<f32>(), |value, channel| {
                (f32::from(value) - pick(mean, channel)) / pick(scale, channel)
            });
        }
        Ok(tensor)
    }

    fn coloured(&self, image: &DynamicImage) -> Pixels {
        let grey_already = matches!(image, DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_));
        let (width, height) = (image.width(), image.height());
        if self.channels == 1 && grey_already {
            return Pixels::new(width, height, 1, image.to_luma8().into_raw());
        }
        let rgb = image.to_rgb8().into_raw();
        if self.channels == 3 {
            return Pixels::new(width, height, 3, rgb);
        }
        // ITU-R 601-2 luma in 16-bit fixed point, as Pillow's convert("L") (Convert.c, L24).
        let luma = |p: &[u8]| match p {
            [r, g, b] => {
                let sum = u32::from(*r) * 19595 + u32::from(*g) * 38470 + u32::from(*b) * 7471;
                u8::try_from((sum + 0x8000) >> 16).unwrap_or(u8::MAX)
            }
            _ => 0,
        };
        Pixels::new(width, height, 1, rgb.chunks_exact(3).map(luma).collect())
    }

    /// Crop or letterbox, and resize to the model's size.
    fn fit(&self, pixels: &Pixels) -> Result<Pixels, PreprocessError> {
        let (to_width, to_height) = (self.how.width, self.how.height);
        let (width, height) = (pixels.width(), pixels.height());
        match self.how.crop {
            Crop::Stretch => Ok(resize(pixels, to_width, to_height, self.how.resize)),
            Crop::Centre { fraction } => {
                let (crop_width, crop_height) = centre_box(width, height, to_width, to_height, fraction);
                if crop_width == 0 || crop_height == 0 {
                    return Err(PreprocessError::TooSmall { width, height });
                }
                let (left, top) = ((width - crop_width) / 2, (height - crop_height) / 2);
                let cropped = pixels.crop(left, top, crop_width, crop_height);
                Ok(resize(&cropped, to_width, to_height, self.how.resize))
            }
            Crop::Letterbox { fill } => {
                let scale = (f64::from(to_width) / f64::from(width)).min(f64::from(to_height) / f64::from(height));
                let side = |from: u32, to: u32| whole((f64::from(from) * scale).round()).clamp(1, to);
                let fitted = resize(pixels, side(width, to_width), side(height, to_height), self.how.resize);
                Ok(fitted.padded(to_width, to_height, fill))
            }
        }
    }

    /// Writes interleaved pixels in the model's layout: the axes are transposed, never reshaped.
    fn lay_out<T>(&self, pixels: &Pixels, out: &mut [T], value: impl Fn(u8, usize) -> T) {
        let channels = self.channels;
        let plane = out.len() / channels.max(1);
        for (at, pixel) in pixels.bytes().chunks_exact(channels).enumerate() {
            for (from, byte) in pixel.iter().enumerate() {
                let channel = if self.how.colour == Colour::Bgr {
                    channels - 1 - from
                } else {
                    from
                };
                let index = match self.how.layout {
                    Layout::Nchw => channel * plane + at,
                    Layout::Nhwc => at * channels + channel,
                };
                if let Some(slot) = out.get_mut(index) {
                    *slot = value(*byte, channel);
                }
            }
        }
    }
}

/// The largest box of the output's aspect ratio, times `fraction`, in whole pixels rounded down.
fn centre_box(width: u32, height: u32, to_width: u32, to_height: u32, fraction: f64) -> (u32, u32) {
    let (w, h) = (f64::from(width), f64::from(height));
    let aspect = f64::from(to_width) / f64::from(to_height);
    let box_width = w.min(h * aspect);
    let box_height = h.min(w / aspect);
    (
        whole(box_width * fraction).min(width),
        whole(box_height * fraction).min(height),
    )
}

/// The whole part of a number that is known to be small and not negative.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 ≤ x ≤ MAX_IMAGE_SIDE"
)]
fn whole(x: f64) -> u32 {
    x as u32
}
