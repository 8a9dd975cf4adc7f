//! Frames into envelopes and out of them: inline on the broker, or in the object store with a reference on the broker.
//!
//! Owns: which of the two, and what is checked on the way back. Must not know: brokers, what a frame holds.

use bytes::Bytes;
use kerf_wire::{Frame, FrameId, Reference, WireError};

use crate::exit::Failure;
use crate::object::{ObjectError, ObjectStore, digest_of};

/// The way for frames of any size.
pub struct Envelopes {
    objects: Option<Box<dyn ObjectStore>>,
    inline_bytes: usize,
}

/// Why a frame could not be put into an envelope, or taken out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Too large for the broker, and no store.
    #[error("frame of {got} bytes is over the inline limit of {limit}: give --store, or raise --inline-bytes")]
    NoStore {
        /// Its length.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// A reference came, and this stage has no store.
    #[error("a frame came by reference, and this stage has no object store: give --store")]
    NoStoreToRead,
    /// The store.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The bytes.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The object holds another frame than its reference says.
    #[error("the object holds frame {got}, its reference says {expected}")]
    OtherFrame {
        /// The reference's frame.
        expected: String,
        /// The object's.
        got: String,
    },
}

impl EnvelopeError {
    /// True when trying again later may help.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Object(
                ObjectError::Unreachable { .. }
                    | ObjectError::Unauthorised { .. }
                    | ObjectError::Missing(_)
                    | ObjectError::Damaged { .. }
            )
        )
    }
}

impl EnvelopeError {
    /// What it says of the store's health; nothing where one object is to blame.
    pub fn trouble(self) -> Option<Failure> {
        match self {
            Self::Object(why @ (ObjectError::Unreachable { .. } | ObjectError::Unauthorised { .. })) => {
                Some(why.into())
            }
            _ => None,
        }
    }
}

impl Envelopes {
    /// Frames up to `inline_bytes` on the broker, larger ones in the store.
    pub fn new(objects: Option<Box<dyn ObjectStore>>, inline_bytes: usize) -> Self {
        Self { objects, inline_bytes }
    }

    /// Frames up to this long travel on the broker.
    pub fn inline_bytes(&self) -> usize {
        self.inline_bytes
    }

    /// What the broker carries for this sealed frame, once it is in the store where it must be.
    ///
    /// # Errors
    /// When it is too large for the broker and the store does not take it.
    pub fn wrap(&mut self, id: &FrameId, frame: &Bytes) -> Result<Bytes, EnvelopeError> {
        if frame.len() <= self.inline_bytes {
            return Ok(frame.clone());
        }
        let objects = self.objects.as_mut().ok_or(EnvelopeError::NoStore {
            got: frame.len(),
            limit: self.inline_bytes,
        })?;
        let digest = digest_of(frame);
        let location = objects.put(&digest, frame)?;
        let reference = Reference {
            id: id.clone(),
            digest,
            frame_bytes: frame.len() as u64,
            location: location
                .as_str()
                .try_into()
                .map_err(|_| WireError::OverLimit("location bytes"))?,
        };
        Ok(Bytes::from(reference.to_vec()?))
    }

    /// The sealed frame that a reference names, checked against its digest.
    ///
    /// # Errors
    /// When it is missing, damaged, or the store is not there.
    pub fn fetch(&mut self, reference: &Reference) -> Result<Vec<u8>, EnvelopeError> {
        let objects = self.objects.as_mut().ok_or(EnvelopeError::NoStoreToRead)?;
        let body = objects.fetch(&reference.digest, reference.frame_bytes, &reference.location)?;
        let id = Frame::parse(&body)?.header.id;
        if id != reference.id {
            return Err(EnvelopeError::OtherFrame {
                expected: reference.id.to_string(),
                got: id.to_string(),
            });
        }
        Ok(body)
    }

    /// Removes a frame from the store, where it went there.
    ///
    /// # Errors
    /// When the store is not there; a lifecycle rule has to remove it then.
    pub fn discard(&mut self, frame: &Bytes) -> Result<(), ObjectError> {
        match &mut self.objects {
            Some(objects) if frame.len() > self.inline_bytes => objects.remove(&digest_of(frame)),
            _ => Ok(()),
        }
    }
}
