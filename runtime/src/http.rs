//! A model behind HTTP: the Open Inference Protocol (KServe v2), frames as they are, health and metrics.
//!
//! Owns: sockets, routes, bodies, their bounds, and the bounded queue to the model's own thread.
//! Must not know: bundles, backends, brokers; it is given a [`Model`].
//! Start at [`Server::start`]; `routes` says which path does what, `oip` how tensors look in JSON and in binary.
//!
//! One thread runs the sockets, one more a copy of the model. A body is read only when its bytes fit the budget of all
//! bodies in memory, and queued only when the queue has room: what does not fit is answered 503, never kept.

use std::net::SocketAddr;
use std::sync::Arc;

use kerf_wire::{InferenceResult, TensorSpec};
use prometheus_client::registry::Registry;

use crate::tensor::Tensor;

mod body;
mod elements;
pub mod limits;
mod metrics;
mod oip;
mod reply;
mod routes;
mod server;
mod slow;
mod worker;

pub use server::Server;

/// A tensor with its value's name.
pub type NamedTensor = (String, Tensor);

/// What a client is told of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// The name in paths.
    pub name: String,
    /// The version in paths, where a client gives one.
    pub version: String,
    /// What runs it, e.g. `kerf_tract`.
    pub platform: String,
    /// What it needs.
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    pub outputs: Vec<TensorSpec>,
}

/// One loaded model; each copy lives on one thread of its own.
pub trait Model: Send {
    /// Runs once on tensors that were checked against the card, in the card's order; gives the outputs in the card's order.
    ///
    /// # Errors
    /// When the engine refuses or fails.
    fn infer(&mut self, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, AnswerError>;
    /// Answers one sealed frame.
    ///
    /// # Errors
    /// When the bytes are no frame for this model, or the engine fails.
    fn frame(&mut self, frame: &[u8]) -> Result<InferenceResult, AnswerError>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The request is at fault and will be again: 422.
    #[error("{0}")]
    Refused(String),
    /// The engine failed: 500.
    #[error("{0}")]
    Failed(String),
}

/// How the server is set up.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bounds on bodies, connections and time.
    pub limits: limits::Limits,
    /// What a person should know while it is ready, e.g. a backend that stepped down; shown by `/readyz`.
    pub warnings: Vec<String>,
    /// Metrics of the rest of the stage; the server adds its own and serves all on `/metrics`.
    pub registry: Registry,
}

impl Options {
    /// Listens there, with the default bounds.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            limits: limits::Limits::default(),
            warnings: Vec::new(),
            registry: Registry::default(),
        }
    }
}

/// What every connection shares.
struct Shared {
    card: Option<Card>,
    limits: limits::Limits,
    warnings: Vec<String>,
    metrics: metrics::Metrics,
    queue: Option<worker::Queue>,
    bodies: Arc<tokio::sync::Semaphore>,
}
