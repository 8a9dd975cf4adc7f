//! A plain HTTP/1.1 client for tests: it can send what a well-behaved one would not.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection, kept open while the server keeps it open.
pub struct Client {
    address: SocketAddr,
    socket: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Connects at the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, socket: None }
    }

    /// Sends a body; gives the status and the answer's text.
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let (status, _, answer) = self.send("POST", path, headers, body);
        (status, String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends a request; gives the status, the answer's header lines in lower case, and its body.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Vec<String>, Vec<u8>) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
        let mut socket = self.socket.take().unwrap_or_else(|| connect(self.address));
        socket.get_mut().write_all(head.as_bytes()).expect("sends the head");
        // A server that refuses by the head alone may close before it took the body.
        let sent = socket.get_mut().write_all(body);
        let (status, headers, answer) = read_answer(&mut socket);
        if sent.is_ok() && !headers.iter().any(|h| h == "connection: close") {
            self.socket = Some(socket);
        }
        (status, headers, answer)
    }
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let socket = TcpStream::connect(address).expect("connects");
    socket.set_nodelay(true).expect("sets TCP_NODELAY");
    let patience = Some(Duration::from_secs(30));
    socket.set_read_timeout(patience).expect("sets a time-out");
    BufReader::new(socket)
}

fn read_answer(socket: &mut BufReader<TcpStream>) -> (u16, Vec<String>, Vec<u8>) {
    let mut line = || {
        let mut line = String::new();
        socket.read_line(&mut line).expect("a line of the answer");
        line.trim_end().to_ascii_lowercase()
    };
    let first = line();
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
    let headers: Vec<String> = std::iter::repeat_with(&mut line)
        .take_while(|l| !l.is_empty())
        .collect();
    let length = headers.iter().find_map(|h| h.strip_prefix("content-length: "));
    let length = length.map_or(0, |l| l.parse().expect("a length"));
    let mut body = vec![0; length];
    socket.read_exact(&mut body).expect("the answer's body");
    (status, headers, body)
}

/// GET over a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = Client::new(address).send("GET", path, &[], &[]);
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// POST over a connection of its own.
pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    Client::new(address).post(path, headers, body)
}
