//! The receipt cursor: which frames are answered. A second small file, written whole and renamed.
//!
//! Owns: its layout and its writing. Must not know: segments.
//! Losing it costs repeats, never a frame: without it every frame in the segments counts as not answered.

use std::io;

use kerf_wire::seal::crc32c;

use crate::ranges::Ranges;
use crate::storage::Storage;

const MAGIC: [u8; 8] = *b"KFCURS01";
const NAME: &str = "cursor";
const NEW_NAME: &str = "cursor.new";
/// Most ranges written; the answers beyond are sent again after a restart.
const MAX_RANGES: usize = 65_536;
/// Longest file, bytes.
const MAX_BYTES: u64 = (MAX_RANGES as u64) * 16 + 32;

/// The answered sequences, where the file is there and good.
pub(super) fn read(storage: &dyn Storage, boot: u64) -> io::Result<Option<Ranges>> {
    if !storage.list()?.iter().any(|name| name == NAME) {
        return Ok(None);
    }
    let length = usize::try_from(storage.len(NAME)?.min(MAX_BYTES)).unwrap_or(0);
    let mut bytes = vec![0; length];
    let read = storage.read(NAME, 0, &mut bytes)?;
    bytes.truncate(read);
    let answered = parse(&bytes, boot);
    if answered.is_none() {
        log::warn!("event=cursor_damaged effect=\"answered frames are sent again\"");
    }
    Ok(answered)
}

fn parse(bytes: &[u8], boot: u64) -> Option<Ranges> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32c(&[body]) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let numbers = body.strip_prefix(&MAGIC)?;
    let mut numbers = numbers
        .chunks_exact(8)
        .filter_map(|c| c.try_into().ok())
        .map(u64::from_le_bytes);
    if numbers.next()? != boot {
        return None;
    }
    let mut answered = Ranges::default();
    while let (Some(first), Some(last)) = (numbers.next(), numbers.next()) {
        answered.push(first, last);
    }
    Some(answered)
}

/// Writes the answered sequences; durable when it returns.
pub(super) fn write(storage: &mut dyn Storage, boot: u64, answered: &Ranges) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&boot.to_le_bytes());
    for (first, last) in answered.iter().take(MAX_RANGES) {
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend_from_slice(&last.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c(&[&bytes]).to_le_bytes());
    // What an interrupted write left behind must not come in front.
    if storage.list()?.iter().any(|name| name == NEW_NAME) {
        storage.remove(NEW_NAME)?;
    }
    storage.append(NEW_NAME, &bytes)?;
    storage.sync(NEW_NAME)?;
    storage.rename(NEW_NAME, NAME)?;
    storage.sync_dir()
}
