//! Decodes images with bounds: what the file's header claims is checked before a pixel is allocated.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageReader, Limits};

use super::{SourceError, read, unreadable};
use crate::limits::{MAX_IMAGE_FILE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};

/// File name endings that are taken for images.
pub const ENDINGS: &[&str] = &["jpg", "jpeg", "png"];
/// Most bytes that a decoder may allocate: four 16-bit channels for the most pixels.
const MAX_DECODE_BYTES: u64 = 8 * MAX_IMAGE_PIXELS;

/// Reads and decodes a PNG or JPEG file.
///
/// # Errors
/// When it is missing, over a bound, or no image.
pub fn open(path: &Path) -> Result<DynamicImage, SourceError> {
    decode(&read(path, MAX_IMAGE_FILE_BYTES)?, path)
}

/// Decodes an image in memory; `path` is for the error's text.
///
/// # Errors
/// When it is over a bound or no image.
pub fn decode(bytes: &[u8], path: &Path) -> Result<DynamicImage, SourceError> {
    let reader = || {
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|why| unreadable(path, why))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_IMAGE_SIDE);
        limits.max_image_height = Some(MAX_IMAGE_SIDE);
        limits.max_alloc = Some(MAX_DECODE_BYTES);
        reader.limits(limits);
        Ok(reader)
    };
    let (width, height) = reader()?.into_dimensions().map_err(|why| unreadable(path, why))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_IMAGE_PIXELS || width.max(height) > MAX_IMAGE_SIDE {
        return Err(SourceError::OverLimit {
            path: path.display().to_string(),
            what: format!(
                "{width} × {height} pixels, expected at most {MAX_IMAGE_SIDE} a side and {MAX_IMAGE_PIXELS} in all"
            ),
        });
    }
    reader()?.decode().map_err(|why| unreadable(path, why))
}
