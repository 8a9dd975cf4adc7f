//! Reading a request's body: its length known before, its bytes within the budget of all bodies, its time bounded.

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use hyper::{Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Shared;
use super::limits::BODY_UNIT_BYTES;
use super::reply::Reply;

/// A body, and its share of the budget, given back when both are dropped.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// Reads the whole body, or says by a status code why not.
pub(super) async fn read(shared: &Shared, request: Request<Incoming>) -> Result<Body, Reply> {
    let length = declared_length(request.headers(), shared.limits.body_bytes)?;
    // +1: an empty body takes a share as well.
    let units = u32::try_from(length / BODY_UNIT_BYTES + 1).unwrap_or(u32::MAX);
    let share = shared.bodies.clone().try_acquire_many_owned(units).map_err(|_| {
        Reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "the bodies of other requests fill the memory set aside for them; try again",
        )
    })?;
    let reading = Limited::new(request.into_body(), length).collect();
    let collected = timeout(shared.limits.body_time, reading)
        .await
        .map_err(|_| Reply::error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?
        .map_err(|why| Reply::error(StatusCode::BAD_REQUEST, &format!("the body broke off: {why}")))?;
    let bytes = collected.to_bytes();
    shared.metrics.received(bytes.len());
    Ok(Body { bytes, _share: share })
}

fn declared_length(headers: &HeaderMap, limit: usize) -> Result<usize, Reply> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|e| e.as_bytes() != b"identity") {
        let text = format!("content-encoding {encoding:?} is not taken: send the body as it is");
        return Err(Reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text));
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok())
        .ok_or_else(|| Reply::error(StatusCode::LENGTH_REQUIRED, "a body needs a content-length"))?;
    if length > limit {
        let text = format!("body of {length} bytes is over the limit of {limit}");
        return Err(Reply::error(StatusCode::PAYLOAD_TOO_LARGE, &text));
    }
    Ok(length)
}
