//! Promise: `kerf oscar` does what mc, oscar-cli and kubectl are needed for elsewhere.
//!
//! The cluster is a stand-in built from OSCAR's own interface; `oscar-python`, the official client, talks to the same
//! stand-in as an independent judge of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_tests::oscar_stub::{Options, PASSWORD, Stub, USER};
use kerf_tests::{fail, kerf, python, succeed};
use serde_json::Value;

/// A script as a tail's is: reads its input, names its output after the key, and says so by a file when it fails.
const SCRIPT: &str = r#"#!/bin/sh
name=$(printf %s "${STORAGE_OBJECT_KEY:-answer}" | tr / _)
if grep -q broken "$INPUT_FILE_PATH"; then
  echo '{"error": "cannot read it"}' > "$TMP_OUTPUT_DIR/$name.err.json"
  exit 31
fi
echo "seen $(wc -c < "$INPUT_FILE_PATH") bytes"
printf '{"text": "%s", "mode": "%s"}' "$(cat "$INPUT_FILE_PATH")" "$MODE" > "$TMP_OUTPUT_DIR/$name.json"
"#;

const FDL: &str = "functions:
  oscar:
  - my-cluster:
      name: echo
      image: ghcr.io/example/echo
      script: script.sh
      cpu: 0.5
      memory: 128Mi
      environment: {variables: {MODE: fast}}
      input: [{storage_provider: minio.default, path: echo/in}]
      output: [{storage_provider: minio.default, path: echo/out, suffix: [.json]}]
";

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(stub: &Stub) -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let endpoint = stub.endpoint();
        desk.file(
            "oscar.toml",
            &format!("endpoint = {endpoint:?}\nuser = {USER:?}\npassword = {PASSWORD:?}\n"),
        );
        desk.file("script.sh", SCRIPT);
        desk.file("fdl.yaml", FDL);
        desk
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path(name);
        fs::write(&file, text).unwrap();
        file
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kerf(&self, arguments: &[&str]) -> Command {
        let mut kerf = kerf();
        kerf.current_dir(self.folder.path());
        kerf.args(["oscar", "--credentials", "oscar.toml"]).args(arguments);
        kerf
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

#[test]
fn apply_invoke_logs_status_and_remove() {
    let stub = Stub::start(Options {
        page: 2,
        ..Options::default()
    });
    let desk = Desk::new(&stub);
    assert_eq!(succeed(&mut desk.kerf(&["apply", "fdl.yaml"])), "echo: created\n");
    assert_eq!(succeed(&mut desk.kerf(&["apply", "fdl.yaml"])), "echo: updated\n");
    let service = stub.service("echo").unwrap();
    assert_eq!(service["cpu"], "0.5");
    assert_eq!(service["script"], SCRIPT);
    for name in ["a.txt", "b.txt", "c.txt"] {
        desk.file(name, &format!("this is {name}"));
    }
    let said = succeed(&mut desk.kerf(&["invoke", "echo", "a.txt", "b.txt", "c.txt", "-o", "results"]));
    let answers = lines(&said);
    assert_eq!(answers.len(), 3);
    for (answer, name) in answers.iter().zip(["a.txt", "b.txt", "c.txt"]) {
        assert_eq!(answer["result"]["text"], format!("this is {name}"));
        assert_eq!(answer["result"]["mode"], "fast");
        let wait_ms = answer["times"]["wait_ms"].as_f64().unwrap();
        assert!(wait_ms > 0.0, "{answer}");
        let file: Value =
            serde_json::from_slice(&fs::read(desk.path("results").join(format!("{name}.json"))).unwrap()).unwrap();
        assert_eq!(file, answer["result"]);
    }
    let mut keys: Vec<&str> = answers.iter().filter_map(|a| a["key"].as_str()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 3, "each run has a key of its own");
    stub.wait_for_jobs();
    // Three jobs on pages of two.
    let jobs = succeed(&mut desk.kerf(&["logs", "echo"]));
    assert_eq!(jobs.lines().filter(|l| l.contains("Succeeded")).count(), 3, "{jobs}");
    let job = jobs.split_whitespace().next().unwrap();
    assert!(succeed(&mut desk.kerf(&["logs", "echo", job])).contains("seen 13 bytes"));
    assert!(succeed(&mut desk.kerf(&["status"])).contains("echo  ghcr.io/example/echo  jobs on objects"));
    let status: Value = serde_json::from_str(&succeed(&mut desk.kerf(&["status", "echo"]))).unwrap();
    assert_eq!(status["deployment"]["state"], "ready");
    assert!(
        status["service"].get("token").is_none(),
        "the token is a secret: {status}"
    );
    let run = lines(&succeed(&mut desk.kerf(&["invoke", "echo", "a.txt", "--sync"])));
    assert_eq!(run[0]["result"]["text"], "this is a.txt");
    succeed(&mut desk.kerf(&["remove", "echo", "--jobs"]));
    assert_eq!(succeed(&mut desk.kerf(&["logs", "echo"])), "");
    succeed(&mut desk.kerf(&["remove", "echo"]));
    assert!(fail(&mut desk.kerf(&["status", "echo"]), 2).contains("no services/echo"));
}

#[test]
fn a_failed_job_is_told_although_its_pod_succeeded() {
    let stub = Stub::start(Options {
        old_logs: true,
        ..Options::default()
    });
    let desk = Desk::new(&stub);
    succeed(&mut desk.kerf(&["apply", "fdl.yaml"]));
    desk.file("bad.txt", "broken");
    let said = fail(&mut desk.kerf(&["invoke", "echo", "bad.txt", "-o", "results"]), 31);
    assert!(said.contains("1 of 1 jobs failed"), "{said}");
    let why: Value = serde_json::from_slice(&fs::read(desk.path("results/bad.txt.json")).unwrap()).unwrap();
    assert_eq!(why["error"], "cannot read it");
    stub.wait_for_jobs();
    // The old shape of the job list, with the lie in it.
    assert!(succeed(&mut desk.kerf(&["logs", "echo"])).contains("Succeeded"));
}

#[test]
fn lost_calls_are_repeated_but_no_job_is_started_twice() {
    let stub = Stub::start(Options::default());
    let desk = Desk::new(&stub);
    stub.fail_next("GET /system", &[503, 502]);
    assert_eq!(succeed(&mut desk.kerf(&["apply", "fdl.yaml"])), "echo: created\n");
    desk.file("a.txt", "a");
    let count = |begin: &str| stub.requests().iter().filter(|r| r.starts_with(begin)).count();
    // The upload goes under a key of its own: it may be repeated, and MinIO restarts when a service is added.
    stub.fail_next("PUT /objects/", &[503]);
    succeed(&mut desk.kerf(&["invoke", "echo", "a.txt"]));
    assert_eq!(count("PUT /objects/"), 2);
    // A call that starts a job may have started it.
    stub.fail_next("POST /run/", &[503]);
    let said = fail(&mut desk.kerf(&["invoke", "echo", "a.txt", "--sync"]), 42);
    assert!(said.contains("503"), "{said}");
    assert_eq!(count("POST /run/"), 1);
}

#[test]
fn wrong_settings_have_their_exit_code_and_no_secret_is_told() {
    let stub = Stub::start(Options::default());
    let desk = Desk::new(&stub);
    desk.file(
        "wrong.toml",
        &format!(
            "endpoint = {:?}\nuser = \"oscar\"\npassword = \"no-{PASSWORD}\"\n",
            stub.endpoint()
        ),
    );
    let run = |arguments: &[&str], code| {
        let mut kerf = kerf();
        kerf.current_dir(desk.folder.path())
            .env("KERF_LOG", "trace")
            .arg("oscar")
            .args(arguments);
        fail(&mut kerf, code)
    };
    let mut said = run(&["--credentials", "wrong.toml", "status"], 41);
    assert!(said.contains("does not authorise us (401)"), "{said}");
    said += &run(&["--credentials", "oscar.toml", "status", "../etc"], 2);
    said += &run(&["--credentials", "oscar.toml", "apply", "oscar.toml"], 2);
    said += &run(
        &[
            "--credentials",
            "oscar.toml",
            "--endpoint",
            "http://127.0.0.1:1",
            "status",
        ],
        42,
    );
    assert!(!said.contains(PASSWORD), "{said}");
    assert!(run(&["--endpoint", "https://x", "status"], 2).contains("no credentials"));
}

#[test]
fn the_official_client_agrees_with_the_stand_in() {
    let stub = Stub::start(Options::default());
    let desk = Desk::new(&stub);
    let Some(mut python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/oscar_client.py");
    let said = succeed(
        python
            .arg(script)
            .args([&stub.endpoint(), USER, PASSWORD])
            .arg(desk.path("fdl.yaml")),
    );
    assert!(said.ends_with("agreed\n"), "{said}");
    // What theirs has made, ours sees.
    assert!(succeed(&mut desk.kerf(&["status"])).contains("echo  ghcr.io/example/echo"));
}
