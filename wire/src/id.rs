//! Names of devices, frames and cuts.

use core::fmt;

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::limits::MAX_DEVICE_BYTES;

/// A device's name: letters, digits, `-`, `_` and `.`, so that it is one MQTT topic level and one object key segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String<MAX_DEVICE_BYTES>", into = "String<MAX_DEVICE_BYTES>")]
pub struct DeviceId(String<MAX_DEVICE_BYTES>);

impl DeviceId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// When it is empty, too long, begins with a dot, or has another character.
    pub fn new(text: &str) -> Result<Self, WireError> {
        let name = String::try_from(text).map_err(|_| WireError::OverLimit("device name bytes"))?;
        Self::try_from(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String<MAX_DEVICE_BYTES>> for DeviceId {
    type Error = WireError;

    fn try_from(name: String<MAX_DEVICE_BYTES>) -> Result<Self, WireError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(WireError::BadName);
        }
        Ok(Self(name))
    }
}

impl From<DeviceId> for String<MAX_DEVICE_BYTES> {
    fn from(device: DeviceId) -> Self {
        device.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one frame for ever: the device that made it, a number drawn at that device's start, and a count since then.
/// No clock is in it, so a wrong clock cannot make two frames alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameId {
    /// Who accepted the frame.
    pub device: DeviceId,
    /// Drawn at random when the device's stage starts without a spool, kept with the spool where there is one.
    pub boot: u64,
    /// Grows by one a frame.
    pub sequence: u64,
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}/{}", self.device, self.boot, self.sequence)
    }
}

/// Names a cut of one model: the first 16 bytes of the SHA-256 over the crossing values' names, in the manifest's order,
/// each followed by a zero byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CutId(pub [u8; 16]);

impl CutId {
    /// The id of the cut that these values cross, in the manifest's order.
    #[cfg(feature = "std")]
    pub fn of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        use sha2::Digest as _;

        let mut hash = sha2::Sha256::new();
        for name in names {
            hash.update(name.as_ref().as_bytes());
            hash.update([0]);
        }
        let mut id = [0_u8; 16];
        for (to, from) in id.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(id)
    }
}

impl fmt::Display for CutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CutId({self})")
    }
}
