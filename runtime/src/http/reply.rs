//! An answer before it is HTTP: status, kind and bytes.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

/// Where the JSON of an Open Inference Protocol body ends and its binary tensors begin.
pub(super) const INFERENCE_HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What a client gets.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) extra: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// 200 with these bytes.
    pub(super) fn ok(content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            extra: Vec::new(),
            body,
        }
    }

    /// 200 with a JSON document.
    pub(super) fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::ok("application/json", body),
            Err(why) => Self::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("answer is no JSON: {why}")),
        }
    }

    /// The protocol's error document: `{"error": text}`.
    pub(super) fn error(status: StatusCode, text: &str) -> Self {
        let body = serde_json::json!({ "error": text }).to_string().into_bytes();
        Self {
            status,
            content_type: "application/json",
            extra: Vec::new(),
            body,
        }
    }

    /// With one more header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.extra.push((name, value));
        self
    }
}
