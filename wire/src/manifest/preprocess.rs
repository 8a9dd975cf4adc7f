//! How an image becomes a tensor: everything that a stage must do the very same way as the training did.

use serde::{Deserialize, Serialize};

use super::MAX_SIDE;
use super::check::{ManifestError, inconsistent};

/// From image to model input, in this order: decode, colour, resize, crop, `(x − mean) / scale`, layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// The graph input that it makes.
    pub input: String,
    /// Channels and their order.
    pub colour: Colour,
    /// Interpolation.
    pub resize: Resize,
    /// How the aspect ratio is treated.
    pub crop: Crop,
    /// Output width, pixels.
    pub width: u32,
    /// Output height, pixels.
    pub height: u32,
    /// Subtracted from each channel, in units of 0…255: one number, or one a channel.
    pub mean: Vec<f32>,
    /// Divides each channel after the mean: one number, or one a channel.
    pub scale: Vec<f32>,
    /// Order of the tensor's axes.
    pub layout: Layout,
}

impl Preprocess {
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let side = 1..=MAX_SIDE;
        if !side.contains(&self.width) || !side.contains(&self.height) {
            return inconsistent(format!(
                "preprocessing makes {} × {} pixels, expected 1 to {MAX_SIDE} each",
                self.width, self.height
            ));
        }
        let channels = self.colour.channels();
        for (what, numbers) in [("mean", &self.mean), ("scale", &self.scale)] {
            if numbers.len() != 1 && numbers.len() != channels {
                return inconsistent(format!(
                    "preprocessing has {} numbers for {what}, expected 1 or {channels}",
                    numbers.len()
                ));
            }
            if !numbers.iter().all(|n| n.is_finite()) {
                return inconsistent(format!("preprocessing has a {what} that is not finite"));
            }
        }
        if self.scale.contains(&0.0) {
            return inconsistent("preprocessing divides by a scale of 0".to_owned());
        }
        match self.crop {
            Crop::Centre { fraction } if !(fraction > 0.0 && fraction <= 1.0) => {
                inconsistent(format!("crop fraction is {fraction}, expected 0 < fraction ≤ 1"))
            }
            _ => Ok(()),
        }
    }
}

impl Colour {
    /// Channels of the tensor.
    pub const fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// Channels and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum Colour {
    Rgb,
    Bgr,
    Grey,
}

/// Interpolation; all but `nearest` widen their kernel when shrinking, as Pillow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum Resize {
    Nearest,
    Bilinear,
    Bicubic,
    Lanczos,
}

/// How the image's aspect ratio meets the model's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Crop {
    /// Stretched to width × height.
    Stretch,
    /// The centre square (at the output's aspect ratio) of this fraction of the short side, then resized.
    Centre {
        /// 0 < fraction ≤ 1, e.g. 224/256 = 0.875.
        fraction: f64,
    },
    /// Fitted inside, the rest filled with this value (0…255).
    Letterbox {
        /// The fill in units of 0…255.
        fill: u8,
    },
}

/// Order of the tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum Layout {
    Nchw,
    Nhwc,
}
