//! A TCP proxy that behaves as bad networks do: cuts, swallows, delays, damages. All random choices come from a seed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::random::Random;

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    /// They pass.
    #[default]
    Fair,
    /// They vanish, while the connection stays: a half-open link.
    Blackhole,
    /// Each piece comes this much later.
    Slow(Duration),
    /// One bit of one piece in this many is flipped.
    Corrupt(usize),
    /// New connections are closed at once.
    Refuse,
    /// Each new connection's request is answered with `503 Service Unavailable`.
    Unavailable,
    /// The connection closes after this many bytes of an answer.
    Truncate(usize),
}

#[derive(Debug)]
struct State {
    weather: Weather,
    streams: Vec<TcpStream>,
    random: Random,
}

/// A proxy in front of one address; its threads end with the test's process.
#[derive(Debug, Clone)]
pub struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// A proxy in front of 127.0.0.1:`upstream`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(upstream: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(Mutex::new(State {
            weather: Weather::Fair,
            streams: Vec::new(),
            random: Random::new(seed),
        }));
        let proxy = Self {
            port,
            state: Arc::clone(&state),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&stream, upstream, &state);
            }
        });
        proxy
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the weather for all connections, those that are open too.
    pub fn set(&self, weather: Weather) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).weather = weather;
    }

    /// Closes every open connection.
    pub fn cut(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in state.streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn serve(client: &TcpStream, upstream: u16, state: &Arc<Mutex<State>>) {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    match lock().weather {
        Weather::Refuse => return,
        Weather::Unavailable => {
            let client = client.try_clone();
            std::thread::spawn(move || client.map(unavailable));
            return;
        }
        _ => {}
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else {
        return;
    };
    for (from, to, answer) in [(client, &server, false), (&server, client, true)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        drop(from.set_nodelay(true));
        if let Ok(handle) = from.try_clone() {
            lock().streams.push(handle);
        }
        let state = Arc::clone(state);
        std::thread::spawn(move || carry(from, to, answer, &state));
    }
}

/// Answers one request, whose head has been read to its end.
fn unavailable(mut client: TcpStream) {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut piece) {
            Ok(n @ 1..) => head.extend_from_slice(&piece[..n]),
            _ => return,
        }
    }
    let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    drop(client.write_all(answer.as_bytes()));
    // What else the client sends is taken, so that it reads the answer and not a reset.
    drop(client.shutdown(Shutdown::Write));
    drop(client.set_read_timeout(Some(Duration::from_secs(2))));
    while let Ok(1..) = client.read(&mut piece) {}
}

fn carry(mut from: TcpStream, mut to: TcpStream, answer: bool, state: &Mutex<State>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut carried = 0;
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let mut piece = &mut buffer[..n];
        let weather = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Weather::Corrupt(one_in) = state.weather
                && state.random.one_in(one_in)
            {
                let at = state.random.below(n);
                piece[at] ^= 1 << state.random.below(8);
            }
            state.weather
        };
        match weather {
            Weather::Blackhole => continue,
            Weather::Slow(delay) => std::thread::sleep(delay),
            Weather::Truncate(limit) if answer => {
                let left = limit.saturating_sub(carried).min(piece.len());
                piece = &mut piece[..left];
            }
            _ => {}
        }
        carried += piece.len();
        let cut = piece.len() < n;
        if to.write_all(piece).is_err() || cut {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
