//! A TCP link with a speed and a delay: what is written to one end arrives at the other as over a slow, long line.
//!
//! Each direction has one line that all connections share. A piece occupies it for its bytes divided by the speed, then travels
//! half an RTT. What waits for the line is bounded, so that a writer feels a full line as it would feel a full send buffer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock;

/// Bytes of one piece: at 1 Mbit/s it takes the line for 65 ms, at 1 Gbit/s for 65 µs.
const PIECE_BYTES: usize = 8 * 1024;
/// How far ahead of the line pieces are taken.
const AHEAD: Duration = Duration::from_millis(30);
/// Pieces on their way at most: more than any line here holds.
const MOST_PIECES: usize = 65_536;
/// A sleep ends late by about this much: the rest is spun.
const SPIN: Duration = Duration::from_micros(150);

/// Speed and delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Each way.
    pub mbit_s: f64,
    /// There and back.
    pub rtt: Duration,
}

impl Shape {
    fn occupies(self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / (self.mbit_s * 1e6))
    }
}

/// When the line is free again.
type Line = Arc<Mutex<Instant>>;

/// A shaped link in front of one port; its threads end with the process.
#[derive(Debug, Clone, Copy)]
pub struct ShapedLink {
    port: u16,
}

impl ShapedLink {
    /// A link in front of 127.0.0.1:`upstream`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(upstream: u16, shape: Shape) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let lines: [Line; 2] = std::array::from_fn(|_| Arc::new(Mutex::new(Instant::now())));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else {
                    continue;
                };
                join(&client, &server, shape, &lines[0]);
                join(&server, &client, shape, &lines[1]);
            }
        });
        Self { port }
    }

    /// Its port on 127.0.0.1.
    pub fn port(self) -> u16 {
        self.port
    }

    /// The URL of a broker behind it.
    pub fn url(self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

fn join(from: &TcpStream, to: &TcpStream, shape: Shape, line: &Line) {
    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
        return;
    };
    drop(from.set_nodelay(true));
    drop(to.set_nodelay(true));
    let (sender, pieces) = sync_channel(MOST_PIECES);
    let line = Arc::clone(line);
    std::thread::spawn(move || {
        let mut from = from;
        let mut buffer = [0; PIECE_BYTES];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let free = {
                let mut free = lock(&line);
                *free = (*free).max(Instant::now()) + shape.occupies(n);
                *free
            };
            if sender.send((free + shape.rtt / 2, buffer[..n].to_vec())).is_err() {
                break;
            }
            std::thread::sleep(free.saturating_duration_since(Instant::now() + AHEAD));
        }
    });
    std::thread::spawn(move || deliver(&pieces, to));
}

fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (at, piece) in pieces {
        sleep_until(at);
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if left > SPIN {
        std::thread::sleep(left.saturating_sub(SPIN));
    }
    while Instant::now() < at {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    /// An echo server behind the link; gives the time for these bytes there and back.
    fn round_trip(shape: Shape, bytes: usize) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut all = vec![0; bytes];
            stream.read_exact(&mut all).unwrap();
            stream.write_all(&[1]).unwrap();
        });
        let link = ShapedLink::start(port, shape);
        let mut stream = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        let start = Instant::now();
        stream.write_all(&vec![7; bytes]).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        start.elapsed()
    }

    #[test]
    fn bytes_take_the_delay_and_their_time_on_the_line() {
        let shape = Shape {
            mbit_s: 10.0,
            rtt: Duration::from_millis(30),
        };
        // 125,000 bytes are 100 ms at 10 Mbit/s; a busy machine may be late, never early.
        let (small, large) = (round_trip(shape, 1), round_trip(shape, 125_000));
        assert!(small >= Duration::from_millis(30), "{small:?}");
        assert!(large >= Duration::from_millis(130), "{large:?}");
        assert!(large < Duration::from_millis(260), "{large:?}");
    }
}
