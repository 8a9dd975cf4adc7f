//! What the server counts, as OpenMetrics text.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The path's kind and the status: both from our own short lists, so that no client can grow the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

/// Seconds, from half a millisecond to half a minute.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0, 30.0,
];

/// Counters, gauges and histograms of one server.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    answer_seconds: Histogram,
    model_seconds: Histogram,
    /// Connections open now.
    pub(super) connections: Gauge,
    /// Requests that wait for the model now.
    pub(super) queued: Gauge,
    received_bytes: Counter<u64, AtomicU64>,
}

impl Metrics {
    pub(super) fn new(mut registry: Registry) -> Self {
        let metrics = Self {
            registry: Registry::default(),
            answered: Family::default(),
            answer_seconds: Histogram::new(BUCKETS),
            model_seconds: Histogram::new(BUCKETS),
            connections: Gauge::default(),
            queued: Gauge::default(),
            received_bytes: Counter::default(),
        };
        let http = registry.sub_registry_with_prefix("kerf_http");
        http.register("requests", "Requests answered", metrics.answered.clone());
        http.register_with_unit(
            "answer",
            "From a request's head to its answer",
            Unit::Seconds,
            metrics.answer_seconds.clone(),
        );
        http.register_with_unit(
            "model",
            "In the model's thread, for one request",
            Unit::Seconds,
            metrics.model_seconds.clone(),
        );
        http.register("connections", "Connections open", metrics.connections.clone());
        http.register("queued", "Requests that wait for the model", metrics.queued.clone());
        http.register_with_unit(
            "received",
            "Bytes of request bodies",
            Unit::Bytes,
            metrics.received_bytes.clone(),
        );
        Self { registry, ..metrics }
    }

    pub(super) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.answered.get_or_create(&Answered { route, status }).inc();
        self.answer_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn ran(&self, took: Duration) {
        self.model_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
    }

    /// All metrics of the stage as OpenMetrics text.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
