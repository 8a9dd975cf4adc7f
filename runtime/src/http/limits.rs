//! Every bound of the HTTP server, in one place. What is over a bound is refused by a status code that says so.

use std::time::Duration;

/// Most connections at a time; more wait in the kernel's backlog.
pub const MAX_CONNECTIONS: usize = 256;
/// Longest request body, bytes, unless configured.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of all bodies in memory together, in units of [`BODY_UNIT_BYTES`]: four of the longest.
pub const MAX_BODIES_BYTES: usize = 4 * MAX_BODY_BYTES;
/// The unit in which the budget of all bodies is counted.
pub const BODY_UNIT_BYTES: usize = 1024;
/// Longest request head, bytes.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Most header lines of a request.
pub const MAX_HEADERS: usize = 64;
/// Requests that wait for the model.
pub const MAX_QUEUED: usize = 32;
/// Longest text of a request that an error repeats, characters.
pub const MAX_ECHO_CHARS: usize = 120;

/// The bounds that an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest request body, bytes; at most [`MAX_BODIES_BYTES`].
    pub body_bytes: usize,
    /// Connections at a time.
    pub connections: usize,
    /// From accepting a connection, or the end of the last answer, to the end of a request's head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// From the end of the body to the answer.
    pub answer_time: Duration,
    /// Longest pause in which a client takes nothing of an answer.
    pub stall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: MAX_BODY_BYTES,
            connections: MAX_CONNECTIONS,
            head_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            answer_time: Duration::from_mins(1),
            stall_time: Duration::from_secs(30),
        }
    }
}
