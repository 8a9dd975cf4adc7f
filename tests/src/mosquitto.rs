//! A real mosquitto on a free loopback port, for one test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::process::eventually;

/// A running broker; killed when it goes out of scope.
pub struct Mosquitto {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts a broker that takes anyone. `extra` are further lines of its configuration.
    pub fn start(extra: &str) -> Self {
        // Another process may take the free port before mosquitto does: then the next one is tried.
        for _ in 0..5 {
            if let Some(broker) = Self::try_start(extra) {
                return broker;
            }
        }
        panic!("mosquitto did not start; build-scripts/test installs it");
    }

    fn try_start(extra: &str) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = free.local_addr().expect("a bound socket has an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("mosquitto.conf");
        // Without TCP_NODELAY every round trip takes 48 ms.
        let lines = format!("listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n{extra}\n");
        fs::write(&config, lines).expect("the configuration is written");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let mut command = Command::new("mosquitto");
        command.env("PATH", path).arg("-c").arg(&config);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut broker = Self {
            child,
            port,
            _folder: folder,
        };
        let mut alive = true;
        eventually("mosquitto's start", || {
            alive = broker.child.try_wait().is_ok_and(|ended| ended.is_none());
            !alive || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        alive.then_some(broker)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `--broker` takes it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
