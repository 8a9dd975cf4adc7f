//! The contract between Kerf's programs.
//!
//! Owns: what a tensor, a frame, an envelope, a receipt, a result and a manifest are, and how their bytes look.
//! Must not know: files, sockets, MQTT, ONNX, any engine.
//! Start at [`frame`] for the bytes on the wire, at [`manifest`] for the file that describes a bundle.
//!
//! `no_std`: without features a microcontroller can write a frame into a buffer of its own; `alloc` adds owned
//! frames, `std` the JSON documents.

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod builder;
#[cfg(feature = "alloc")]
pub mod codec;
pub mod digest;
pub mod envelope;
pub mod error;
pub mod frame;
pub mod id;
pub mod limits;
#[cfg(feature = "std")]
pub mod manifest;
#[cfg(feature = "std")]
pub mod profile;
pub mod receipt;
#[cfg(feature = "std")]
pub mod result;
pub mod seal;
pub mod tensor;

#[cfg(feature = "alloc")]
pub use builder::FrameBuilder;
pub use digest::Digest;
pub use envelope::{Envelope, Reference};
pub use error::WireError;
pub use frame::{CodecId, Frame, FrameHeader, Hop, TensorHeader};
pub use id::{CutId, DeviceId, FrameId};
#[cfg(feature = "std")]
pub use manifest::Manifest;
#[cfg(feature = "std")]
pub use profile::Profile;
pub use receipt::{Outcome, Receipt};
#[cfg(feature = "std")]
pub use result::InferenceResult;
pub use tensor::{DType, Dim, Name, Shape, TensorRef, TensorSpec};
