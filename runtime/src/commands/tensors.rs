//! Writes what leaves a part to a file: to a temporary name first, so that nothing half-written is left.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::source::{frame, npy, npz};
use kerf_runtime::wire::frame::{FrameHeader, raw_header, write_into};
use kerf_runtime::wire::limits::MAX_HEADER_BYTES;
use kerf_runtime::wire::{CutId, DeviceId, Digest, FrameId, TensorRef};

/// What a frame file says of itself.
pub(super) struct Crossing {
    pub(super) model: Digest,
    pub(super) cut: CutId,
    pub(super) sequence: u64,
}

/// Writes a `.frame` or, with any other ending, an `.npz` file.
pub(super) fn write(path: &Path, values: &[(&str, TensorRef<'_>)], crossing: Option<&Crossing>) -> Result<(), Failure> {
    let context = |failure: Failure| failure.context(format!("output {}", path.display()));
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".kerf-")
        .tempfile_in(dir)
        .or_exit(Exit::Usage)
        .map_err(context)?;
    if path.extension().is_some_and(|ending| ending == frame::ENDING) {
        let crossing = crossing.ok_or_else(|| Failure::usage("a frame crosses a cut; the last part writes .npz"))?;
        write_frame(file.as_file_mut(), values, crossing).map_err(context)?;
    } else {
        let arrays = values.iter().map(|(name, tensor)| (*name, *tensor));
        npz::write(arrays, BufWriter::new(file.as_file_mut())).map_err(|why| disk(&why, path))?;
    }
    file.persist(path).or_exit(Exit::Usage).map_err(context)?;
    Ok(())
}

fn disk(why: &npy::NpyError, path: &Path) -> Failure {
    let full = matches!(why, npy::NpyError::Io(io) if io.kind() == std::io::ErrorKind::StorageFull);
    let exit = if full { Exit::DiskFull } else { Exit::Usage };
    Failure::new(exit, anyhow::anyhow!("output {}: {why}", path.display()))
}

fn write_frame(file: &mut File, values: &[(&str, TensorRef<'_>)], crossing: &Crossing) -> Result<(), Failure> {
    let id = FrameId {
        device: DeviceId::new("once").or_exit(Exit::Bug)?,
        boot: 0,
        sequence: crossing.sequence,
    };
    let mut header = FrameHeader {
        id,
        model: crossing.model,
        cut: crossing.cut,
        hops: std::iter::empty().collect(),
        tensors: std::iter::empty().collect(),
    };
    for (name, tensor) in values {
        let raw = raw_header(tensor).or_exit(Exit::Usage)?;
        let pushed = header.tensors.push(raw);
        pushed.map_err(|_| Failure::usage(format!("more tensors than a frame takes, at {name:?}")))?;
    }
    let payloads: Vec<&[u8]> = values.iter().map(|(_, tensor)| tensor.bytes).collect();
    let room = payloads.iter().map(|p| p.len()).sum::<usize>() + MAX_HEADER_BYTES + 64;
    let mut bytes = vec![0_u8; room];
    let length = write_into(&header, &payloads, &mut bytes).or_exit(Exit::Usage)?;
    file.write_all(bytes.get(..length).unwrap_or_default())
        .or_exit(Exit::Usage)
}
