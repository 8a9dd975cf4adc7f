//! A desk with a cluster beside it: a bundle or a set is taken there as a user would, and called.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::oscar_stub::{Options, PASSWORD, Store, Stub, Supervisor, USER};
use crate::{kerf, kerf_stage, python, succeed};

/// The service's name on every desk.
pub const SERVICE: &str = "tail";

/// A temporary folder in which the commands run.
pub struct CloudDesk {
    folder: tempfile::TempDir,
}

impl Default for CloudDesk {
    fn default() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }
}

impl CloudDesk {
    /// A file of the desk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `kerf` with these arguments, run on the desk.
    pub fn kerf(&self, arguments: &[&str]) -> Command {
        let mut kerf = kerf();
        kerf.current_dir(self.folder.path()).args(arguments);
        kerf
    }

    /// Takes a bundle or a set to a cluster of its own; `oscar.toml` says where that is.
    pub fn deploy(&self, supervisor: Supervisor, place: &Path) -> Stub {
        self.deploy_on(Store::here(), supervisor, place)
    }

    /// The same, with the cluster's objects in this store.
    pub fn deploy_on(&self, store: Store, supervisor: Supervisor, place: &Path) -> Stub {
        let cloud = self.path("cloud");
        drop(fs::remove_dir_all(&cloud));
        let mut bundle = self.kerf(&[
            "cloud",
            "bundle",
            "--image",
            "example/tail",
            "--name",
            SERVICE,
            "-o",
            "cloud",
        ]);
        succeed(bundle.arg(place));
        let stage = PathBuf::from(kerf_stage().get_program());
        let folder = stage.parent().expect("programs lie in a folder").display();
        let stub = Stub::start(Options {
            supervisor,
            store,
            // The image says so in the cluster: whoever may write it decides what runs there anyway.
            container: vec![
                ("PATH".to_owned(), format!("{folder}:/usr/bin:/bin")),
                ("KERF_ALLOW_UNSIGNED".to_owned(), "true".to_owned()),
            ],
            ..Options::default()
        });
        let endpoint = stub.endpoint();
        let text = format!("endpoint = {endpoint:?}\nuser = {USER:?}\npassword = {PASSWORD:?}\n");
        fs::write(self.path("oscar.toml"), text).expect("writes the credentials");
        // In the cluster the bundle lies in the image; here it lies on the desk.
        let fdl = cloud.join("oscar-async/fdl.yaml");
        let text = fs::read_to_string(&fdl).expect("an FDL file");
        let text = text.replace("KERF_BUNDLE: /bundle", &format!("KERF_BUNDLE: {}", place.display()));
        fs::write(&fdl, text).expect("writes the FDL file");
        succeed(&mut self.kerf(&[
            "oscar",
            "--credentials",
            "oscar.toml",
            "apply",
            "cloud/oscar-async/fdl.yaml",
        ]));
        stub
    }

    /// A kubeconfig whose cluster is the stub, for `kubectl`.
    pub fn kubeconfig(&self, stub: &Stub) -> PathBuf {
        let file = self.path("kubeconfig");
        let server = stub.endpoint();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: stub\nclusters:\n- name: stub\n  cluster: {{server: {server:?}}}\n\
             contexts:\n- name: stub\n  context: {{cluster: stub, user: me}}\nusers:\n- name: me\n  user: {{}}\n"
        );
        fs::write(&file, text).expect("writes the kubeconfig");
        file
    }
}

/// The stand-in, and faas-supervisor itself where the judges' Python has it.
pub fn supervisors() -> Vec<Supervisor> {
    let real = python().map(|python| Supervisor::Real(python.get_program().into()));
    std::iter::once(Supervisor::StandIn).chain(real).collect()
}

/// A `kerf-stage serve` that ends with the test.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: std::net::SocketAddr,
}

impl Served {
    /// Starts it on a free port and waits until it listens.
    pub fn start(bundle: &Path) -> Self {
        use std::io::BufRead as _;
        let mut stage = kerf_stage();
        stage.args(["serve", "--listen", "127.0.0.1:0", "--bundle"]).arg(bundle);
        let mut child = stage.stdout(Stdio::piped()).spawn().expect("starts");
        let stdout = child.stdout.take().expect("piped");
        let mut line = String::new();
        std::io::BufReader::new(stdout)
            .read_line(&mut line)
            .expect("says where it listens");
        let address = line.trim().trim_start_matches("http://").parse().expect(&line);
        Self { child, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
