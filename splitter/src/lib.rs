//! Cuts neural networks where the cut pays.
//!
//! Owns: reading ONNX, the graph, cuts, plans, and writing bundles: `onnx → graph → cut → plan → emit`.
//! Must not know, along that road: the runtime. Only `prepare`, `profile`, `verify` and the commands use it.
//! Start at [`onnx`].

mod children;
pub mod cloud;
pub mod codec;
pub mod commands;
pub mod convert;
pub mod cut;
pub mod demo;
pub mod doctor;
pub mod emit;
pub mod exit;
pub mod exits;
pub mod graph;
pub mod import;
pub mod limits;
pub mod onnx;
pub mod oscar;
pub mod page;
pub mod plan;
pub mod plot;
pub mod predict;
pub mod prepare;
pub mod profile;
pub mod quantize;
pub mod support;
pub mod target;
pub mod verify;
