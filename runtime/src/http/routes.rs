//! Which path does what.
//!
//! | path | method | answer |
//! |---|---|---|
//! | `/healthz`, `/v2/health/live` | GET | 200 while the process lives |
//! | `/readyz`, `/v2/health/ready`, `/v2/models/NAME/ready` | GET | 200 while the model answers, else 503 |
//! | `/metrics` | GET | OpenMetrics text |
//! | `/v2` | GET | what this server is |
//! | `/v2/models/NAME` | GET | inputs and outputs of the model |
//! | `/v2/models/NAME/infer` | POST | tensors in, tensors out |
//! | `/v2/repository/index` | POST | the one model that is here |
//! | `/kerf/v1/frames` | POST | a sealed frame in, its result as JSON out |
//!
//! `/v2/models/NAME/versions/VERSION…` is the same for the one version that is here.

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;

use super::reply::{INFERENCE_HEADER_LENGTH, Reply};
use super::worker::{Ask, Queue};
use super::{Card, Shared, body, oip};

/// What a path names. The names are the metrics' labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Live,
    Ready,
    Metrics,
    Server,
    Index,
    Model,
    Infer,
    Frames,
    Unknown,
}

impl Route {
    /// For metrics: one of a short list, whatever the path was.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
            Self::Server => "server",
            Self::Index => "index",
            Self::Model => "model",
            Self::Infer => "infer",
            Self::Frames => "frames",
            Self::Unknown => "unknown",
        }
    }

    const fn method(self) -> Method {
        match self {
            Self::Infer | Self::Frames | Self::Index => Method::POST,
            _ => Method::GET,
        }
    }
}

/// Reads a path; the model's name and version must be the card's.
pub(super) fn route(card: Option<&Card>, path: &str) -> Route {
    let segments: Vec<&str> = path.trim_matches('/').splitn(7, '/').collect();
    let ours = |name: &str, version: Option<&str>| {
        let same = |segment: &str, ours: &str| percent_decode_str(segment).eq(ours.bytes());
        card.is_some_and(|card| same(name, &card.name) && version.is_none_or(|v| same(v, &card.version)))
    };
    let (version, rest) = match segments.as_slice() {
        ["v2", "models", _, "versions", version, rest @ ..] => (Some(*version), rest),
        ["v2", "models", _, rest @ ..] => (None, rest),
        _ => (None, &[] as &[&str]),
    };
    match (segments.as_slice(), rest) {
        (["healthz"] | ["v2", "health", "live"], _) => Route::Live,
        (["readyz"] | ["v2", "health", "ready"], _) => Route::Ready,
        (["metrics"], _) => Route::Metrics,
        (["v2"], _) => Route::Server,
        (["v2", "repository", "index"], _) => Route::Index,
        (["kerf", "v1", "frames"], _) if card.is_some() => Route::Frames,
        (["v2", "models", name, ..], rest) if ours(name, version) => match rest {
            [] => Route::Model,
            ["ready"] => Route::Ready,
            ["infer"] => Route::Infer,
            _ => Route::Unknown,
        },
        _ => Route::Unknown,
    }
}

/// Answers one request.
pub(super) async fn answer(shared: &Shared, route: Route, request: Request<Incoming>) -> Reply {
    if route == Route::Unknown {
        let known = shared.card.as_ref().map_or("none", |card| card.name.as_str());
        let text = format!("no such path or model; the model here is {known}");
        return Reply::error(StatusCode::NOT_FOUND, &text);
    }
    if *request.method() != route.method() {
        let method = route.method();
        let reply = Reply::error(StatusCode::METHOD_NOT_ALLOWED, &format!("use {method}"));
        return match HeaderValue::from_str(method.as_str()) {
            Ok(value) => reply.with(ALLOW, value),
            Err(_) => reply,
        };
    }
    match (route, &shared.card, &shared.queue) {
        (Route::Live, ..) => Reply::json(&serde_json::json!({"live": true})),
        (Route::Ready, ..) => ready(shared),
        (Route::Metrics, ..) => metrics(shared),
        (Route::Server, ..) => Reply::json(&serde_json::json!({
            "name": "kerf-stage",
            "version": env!("CARGO_PKG_VERSION"),
            "extensions": ["binary_tensor_data"],
        })),
        (Route::Index, card, _) => Reply::json(&index(card.as_ref())),
        (Route::Model, Some(card), _) => Reply::json(&oip::metadata(card)),
        (Route::Infer | Route::Frames, _, Some(queue)) => ask(shared, queue, route, request)
            .await
            .unwrap_or_else(|refused| refused),
        _ => Reply::error(StatusCode::NOT_FOUND, "this stage serves no model over HTTP"),
    }
}

fn ready(shared: &Shared) -> Reply {
    let alive = shared.queue.as_ref().is_none_or(Queue::is_alive);
    let document = serde_json::json!({"ready": alive, "warnings": shared.warnings});
    let mut reply = Reply::json(&document);
    if !alive {
        reply.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    reply
}

fn metrics(shared: &Shared) -> Reply {
    let waiting = shared.queue.as_ref().map_or(0, Queue::waiting);
    shared.metrics.queued.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    match shared.metrics.text() {
        Ok(text) => Reply::ok(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text.into_bytes(),
        ),
        Err(why) => Reply::error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

fn index(card: Option<&Card>) -> serde_json::Value {
    let entry =
        |card: &Card| serde_json::json!({"name": card.name, "version": card.version, "state": "READY", "reason": ""});
    card.into_iter().map(entry).collect()
}

async fn ask(shared: &Shared, queue: &Queue, route: Route, request: Request<Incoming>) -> Result<Reply, Reply> {
    let json_bytes = match request.headers().get(INFERENCE_HEADER_LENGTH) {
        None => None,
        Some(value) => {
            let length = value.to_str().ok().and_then(|text| text.parse().ok());
            Some(length.ok_or_else(|| {
                let text = format!("inference-header-content-length {value:?} is no number");
                Reply::error(StatusCode::BAD_REQUEST, &text)
            })?)
        }
    };
    let body = body::read(shared, request).await?;
    let ask = match route {
        Route::Frames => Ask::Frame { body },
        _ => Ask::Infer { body, json_bytes },
    };
    let (reply, ran) = queue.ask(ask, shared.limits.answer_time).await;
    if let Some(ran) = ran {
        shared.metrics.ran(ran);
    }
    Ok(reply)
}
