//! Real S3 servers on free ports, which can be killed and started again: SeaweedFS, and rclone's over a folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kerf_runtime::object::Folder as _;
use kerf_runtime::object::s3::{PATIENCE, S3Config, S3Store};

use crate::mosquitto::free_port;

/// The servers' one access key.
pub const ACCESS_KEY: &str = "kerf-test-key";
/// Its secret.
pub const SECRET_KEY: &str = "canary-secret-of-the-store-0123456789";
/// The bucket of the tests.
pub const BUCKET: &str = "kerf";
/// Longest wait for a server that starts.
const PATIENCE_START: Duration = Duration::from_mins(1);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SeaweedFS: master, volume, filer and S3 gateway in one process.
    SeaweedFs,
    /// `rclone serve s3` over a folder.
    Rclone,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct S3Server {
    kind: Kind,
    program: PathBuf,
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    way: Way,
    child: Child,
}

/// The domain of a server whose buckets are host names.
pub const DOMAIN: &str = "store.example";

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
    /// The bucket is the first label of the host's name, under [`DOMAIN`].
    ByName,
}

impl S3Server {
    /// Starts one with an empty bucket; none, said aloud, where the judges' Python has not brought it.
    pub fn start(kind: Kind) -> Option<Self> {
        Self::start_in(kind, tempfile::tempdir().expect("a temporary folder"), Way::Plain)
    }

    /// Starts one that takes the bucket from the host's name, as `BUCKET.store.example`.
    pub fn start_by_name(kind: Kind) -> Option<Self> {
        Self::start_in(kind, tempfile::tempdir().expect("a temporary folder"), Way::ByName)
    }

    /// Starts rclone's with TLS, by `broker.pem` and `broker.key` of this folder.
    pub fn start_secured(folder: tempfile::TempDir) -> Option<Self> {
        Self::start_in(Kind::Rclone, folder, Way::Tls)
    }

    fn start_in(kind: Kind, folder: tempfile::TempDir, way: Way) -> Option<Self> {
        let program = program(match kind {
            Kind::SeaweedFs => "weed",
            Kind::Rclone => "rclone",
        })?;
        let identities = serde_json::json!({ "identities": [{
            "name": "kerf",
            "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
            "actions": ["Admin", "Read", "Write", "List"],
        }]});
        std::fs::write(folder.path().join("s3.json"), identities.to_string()).expect("identities are written");
        std::fs::create_dir_all(folder.path().join("data").join(BUCKET)).expect("a data folder");
        let ports: Vec<u16> = (0..8).map(|_| free_port()).collect();
        let child = run(kind, &program, folder.path(), &ports, way);
        let server = Self {
            kind,
            program,
            folder,
            ports,
            way,
            child,
        };
        server.wait_until_up();
        Some(server)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Starts it again on the same port; does not wait until it answers.
    pub fn restart(&mut self) {
        self.kill();
        self.child = run(self.kind, &self.program, self.folder.path(), &self.ports, self.way);
    }

    /// How to reach it, or a proxy in front of it, with its keys.
    pub fn config(&self, port: u16) -> S3Config {
        S3Config {
            endpoint: format!(
                "{}://localhost:{port}",
                if self.way == Way::Tls { "https" } else { "http" }
            ),
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            virtual_host: false,
            keys: Some((ACCESS_KEY.to_owned(), SECRET_KEY.to_owned())),
            ca: std::fs::read(self.folder.path().join("ca.pem")).ok(),
            presign: None,
            patience: PATIENCE,
        }
    }

    /// Waits until it gives its bucket.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn wait_until_up(&self) {
        let begun = Instant::now();
        // Its bucket has no address that resolves here. SeaweedFS takes the other kind of address too.
        let by_name_only = self.way == Way::ByName && self.kind == Kind::Rclone;
        let up = || {
            if by_name_only {
                let connected = std::net::TcpStream::connect(("127.0.0.1", self.port()));
                return connected.map(drop).map_err(|why| why.to_string());
            }
            let mut store = S3Store::new(self.config(self.port())).expect("a store");
            // The first object makes the bucket.
            let written = store.write("probe", b"x").and_then(|()| store.delete("probe"));
            written.map_err(|why| why.to_string())
        };
        while let Err(why) = up() {
            assert!(begun.elapsed() < PATIENCE_START, "{:?} did not start: {why}", self.kind);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that came with the judges' Python packages.
fn program(name: &str) -> Option<PathBuf> {
    let python = std::env::var_os("KERF_TEST_PYTHON").map(PathBuf::from);
    let program = python.as_deref().and_then(Path::parent).map(|bin| bin.join(name));
    if let Some(program) = program.filter(|file| file.is_file()) {
        return Some(program);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{name} is not beside KERF_TEST_PYTHON under CI"
    );
    eprintln!("SKIPPED: no {name} beside KERF_TEST_PYTHON; build-scripts/test installs it");
    None
}

fn run(kind: Kind, program: &Path, folder: &Path, ports: &[u16], way: Way) -> Child {
    let mut command = Command::new(program);
    let address = format!("127.0.0.1:{}", ports[0]);
    match kind {
        Kind::Rclone => {
            command.args(["serve", "s3", "--addr", &address]);
            command.args(["--auth-key", &format!("{ACCESS_KEY},{SECRET_KEY}")]);
            if way == Way::ByName {
                command.arg("--force-path-style=false");
            }
            if way == Way::Tls {
                command.arg("--cert").arg(folder.join("broker.pem"));
                command.arg("--key").arg(folder.join("broker.key"));
            }
            command.args(["--config", "/dev/null"]).arg(folder.join("data"));
        }
        Kind::SeaweedFs => {
            let names = [
                "s3.port",
                "master.port",
                "master.port.grpc",
                "volume.port",
                "volume.port.grpc",
                "filer.port",
                "filer.port.grpc",
                "s3.port.grpc",
            ];
            command.args(["server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-filer", "-s3"]);
            command.args([
                "-master.telemetry=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-s3.autoCreateBucket",
            ]);
            command.args(["-master.volumeSizeLimitMB=64", "-volume.max=20"]);
            command.args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
            command.arg("-dir").arg(folder.join("data"));
            command.arg("-s3.config").arg(folder.join("s3.json"));
            if way == Way::ByName {
                command.arg(format!("-s3.domainName={DOMAIN}"));
            }
        }
    }
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
        .spawn()
        .unwrap_or_else(|why| panic!("{command:?} did not start: {why}"))
}
