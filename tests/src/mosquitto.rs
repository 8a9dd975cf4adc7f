//! A real mosquitto on a free port, which can be killed and started again.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

/// A port that nobody listens on now.
///
/// # Panics
/// When the machine has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Mosquitto {
    /// Starts a broker that takes anyone. `extra` are further lines of its configuration.
    pub fn start(extra: &str) -> Self {
        Self::start_with(|_, port| format!("listener {port} 127.0.0.1\nallow_anonymous true\n{extra}\n"))
    }

    /// Starts one with these lines of configuration, made from its folder and its port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(configuration: impl Fn(&Path, u16) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut said = String::new();
        // Another process may take the free port before mosquitto does: then the next one is tried.
        for _ in 0..5 {
            let port = free_port();
            let lines = configuration(folder.path(), port);
            // Without TCP_NODELAY every round trip takes 48 ms.
            // As root it would become the user mosquitto, who may neither read nor write in this folder.
            let usual = "user root\nset_tcp_nodelay true\nmax_inflight_messages 100\nmax_queued_messages 100000\nlog_dest stderr\n";
            let file = folder.path().join("mosquitto.conf");
            std::fs::write(file, format!("{usual}{lines}\n")).expect("the configuration is written");
            match run(folder.path()) {
                Ok(child) => return Self { child, folder, port },
                Err(log) => said = log,
            }
        }
        panic!("mosquitto did not start; build-scripts/test installs it:\n{said}");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its folder, with `mosquitto.conf`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL: it says goodbye to nobody and saves nothing.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Starts it again, on the same port with the same configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.child = run(self.folder.path()).unwrap_or_else(|log| panic!("mosquitto did not start again:\n{log}"));
    }

    /// Makes it read its configuration, passwords and access list again.
    ///
    /// # Panics
    /// When there is no `kill` program.
    pub fn reload(&self) {
        let kill = Command::new("kill")
            .args(["-HUP", &self.child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    }
}

/// Starts the broker and waits until it listens, by its own word; its log where it does not.
fn run(folder: &Path) -> Result<Child, String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut command = Command::new("mosquitto");
    command
        .env("PATH", path)
        .arg("-v")
        .arg("-c")
        .arg(folder.join("mosquitto.conf"));
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|why| why.to_string())?;
    let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
    let mut seen = Vec::new();
    loop {
        match lines.next() {
            Some(Ok(line)) if line.contains(" running") => break,
            Some(Ok(line)) => seen.push(line),
            _ => {
                drop(child.kill());
                drop(child.wait());
                return Err(seen.join("\n"));
            }
        }
    }
    // Its log is read to its end, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(child)
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
