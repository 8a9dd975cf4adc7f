//! Metrics and health on a local port, for Prometheus and for whoever restarts things.
//!
//! Owns: one listening socket. Must not know: what is counted.
//! One connection at a time, each with a deadline and a bound: it is for the machine itself, not for the world.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Metrics;

/// How long one client may take.
const DEADLINE: Duration = Duration::from_secs(2);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Most bytes of a request that are read.
const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// Serves until the process ends; gives the address, which names the port where 0 was asked for.
///
/// # Errors
/// When it cannot listen there.
pub fn serve(metrics: Arc<Metrics>, listen: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let serve = move || {
        for stream in listener.incoming().flatten() {
            if let Err(why) = answer(stream, &metrics) {
                log::debug!("event=metrics_not_answered why={:?}", why.to_string());
            }
        }
    };
    std::thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
    Ok(address)
}

fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut room = [0; MAX_REQUEST_BYTES];
    let request = read_head(&mut stream, &mut room)?;
    let (status, kind, body) = page(request, metrics);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Status, content type and body.
fn page(request: &[u8], metrics: &Metrics) -> (&'static str, &'static str, String) {
    let path = request.split(|b| *b == b' ').nth(1).unwrap_or_default();
    match path {
        b"/metrics" => ("200 OK", OPEN_METRICS, metrics.text() + "# EOF\n"),
        // It answers, so it lives; whether its loop turns is the watchdog's question.
        b"/healthz" => ("200 OK", "text/plain", "ok\n".to_owned()),
        b"/readyz" => {
            let document = metrics.health.document();
            let ready = document["ready"] == true;
            let status = if ready { "200 OK" } else { "503 Service Unavailable" };
            (status, "application/json", format!("{document}\n"))
        }
        _ => (
            "404 Not Found",
            "text/plain",
            "GET /metrics, /healthz and /readyz are here\n".to_owned(),
        ),
    }
}

/// Reads up to the empty line that ends a request's head, which may come in any number of pieces; what does not fit is left.
fn read_head<'a>(stream: &mut TcpStream, room: &'a mut [u8]) -> std::io::Result<&'a [u8]> {
    let begun = Instant::now();
    let mut length = 0;
    while let Some(free) = room.get_mut(length..).filter(|free| !free.is_empty()) {
        let read = stream.read(free)?;
        length += read;
        let head = room.get(..length).unwrap_or_default();
        if read == 0 || head.ends_with(b"\r\n\r\n") || begun.elapsed() > DEADLINE {
            break;
        }
    }
    Ok(room.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn prometheus_gets_the_counters_and_nobody_anything_else() {
        let metrics = Arc::new(Metrics::default());
        metrics.sent.add(7);
        let address = serve(Arc::clone(&metrics), "127.0.0.1:0".parse().unwrap()).unwrap();
        let answer = ask(address, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("\nkerf_frames_sent_total 7\n") && answer.ends_with("# EOF\n"),
            "{answer}"
        );
        assert!(ask(address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").starts_with("HTTP/1.1 200"));
        metrics
            .health
            .spool(Some((crate::exit::Exit::DiskFull, "no room".to_owned())));
        let answer = ask(address, "/readyz");
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("\"code\":50"),
            "{answer}"
        );
        assert!(ask(address, "/metrics").contains("\nkerf_trouble_code{about=\"spool\"} 50\n"));
        assert!(ask(address, "/etc/passwd").starts_with("HTTP/1.1 404"));
    }
}
