//! Named arrays in NumPy's `.npz` form: a zip of `.npy` files.

use std::io::{Cursor, Read, Seek, Write};

use kerf_wire::TensorRef;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::npy::{self, NpyError};
use crate::limits::{MAX_NPZ_ARRAYS, MAX_TENSOR_FILE_BYTES};
use crate::tensor::Tensor;

/// The arrays of an archive, read one by one.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    left: u64,
}

impl<'a> Archive<Cursor<&'a [u8]>> {
    /// Opens an archive in memory.
    ///
    /// # Errors
    /// When it is no zip archive, or has too many entries.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, NpyError> {
        Self::open(Cursor::new(bytes))
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Opens an archive.
    ///
    /// # Errors
    /// When it is no zip archive, or has too many entries.
    pub fn open(from: R) -> Result<Self, NpyError> {
        let zip = ZipArchive::new(from).map_err(|why| NpyError::Format(why.to_string()))?;
        if zip.len() > MAX_NPZ_ARRAYS {
            return Err(NpyError::OverLimit(format!(
                "{} arrays, expected at most {MAX_NPZ_ARRAYS}",
                zip.len()
            )));
        }
        Ok(Self {
            zip,
            left: MAX_TENSOR_FILE_BYTES,
        })
    }

    /// The arrays' names.
    pub fn names(&self) -> Vec<String> {
        let names = self.zip.file_names().filter_map(Result::ok);
        names
            .filter_map(|n| n.strip_suffix(".npy").map(str::to_owned))
            .collect()
    }

    /// One array. All arrays read from an archive together stay below the limit for a tensor file.
    ///
    /// # Errors
    /// When there is none of this name, or it is refused.
    pub fn read(&mut self, name: &str) -> Result<Tensor, NpyError> {
        let file = self.zip.by_name(&format!("{name}.npy"));
        let file = file.map_err(|why| NpyError::Format(format!("array {name:?}: {why}")))?;
        if file.size() > self.left {
            return Err(NpyError::OverLimit(format!("array {name:?} has {} bytes", file.size())));
        }
        // A zip's own sizes may lie: never unpack more than is left.
        let mut bounded = file.take(self.left);
        let tensor = npy::read(&mut bounded)?;
        self.left = bounded.limit();
        Ok(tensor)
    }

    /// All arrays, in the archive's order.
    ///
    /// # Errors
    /// As [`Archive::read`].
    pub fn read_all(&mut self) -> Result<Vec<(String, Tensor)>, NpyError> {
        let names = self.names();
        names
            .into_iter()
            .map(|name| self.read(&name).map(|tensor| (name, tensor)))
            .collect()
    }
}

/// Writes named arrays, uncompressed as NumPy's `savez` does.
///
/// # Errors
/// When writing fails.
pub fn write<'a>(
    arrays: impl IntoIterator<Item = (&'a str, TensorRef<'a>)>,
    to: impl Write + Seek,
) -> Result<(), NpyError> {
    let zip_error = |why: zip::result::ZipError| NpyError::Io(std::io::Error::other(why));
    let mut zip = ZipWriter::new(to);
    for (name, tensor) in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(tensor.bytes.len() as u64 >= u64::from(u32::MAX) - 1024);
        zip.start_file(format!("{name}.npy"), options).map_err(zip_error)?;
        npy::write(&tensor, &mut zip)?;
    }
    zip.finish().map_err(zip_error)?.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_with_slashes_come_back() {
        let a = Tensor::from_f32(&[1, 2], &[1.0, 2.0]).unwrap();
        let b = Tensor::zeros(kerf_wire::DType::I64, &[]).unwrap();
        let mut bytes = Cursor::new(Vec::new());
        write([("/conv/out:0", a.view()), ("b", b.view())], &mut bytes).unwrap();
        let bytes = bytes.into_inner();
        let mut archive = Archive::from_bytes(&bytes).unwrap();
        assert_eq!(archive.names(), ["/conv/out:0", "b"]);
        assert_eq!(archive.read("b").unwrap(), b);
        assert_eq!(archive.read("/conv/out:0").unwrap(), a);
        assert!(archive.read("c").is_err());
    }
}
