//! A job: MinIO's event, the supervisor's environment, the script, the output objects.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, JobRecord, now};
use crate::lock;

/// What runs a job in its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supervisor {
    /// The few lines below, by the facts.
    StandIn,
    /// faas-supervisor itself, by this Python; it fetches and uploads over S3.
    Real(std::path::PathBuf),
}

/// MinIO's event for a new object: `Key` is plain, `s3.object.key` is query-escaped.
pub(super) fn event(bucket: &str, key: &str, bytes: usize) -> Value {
    let escaped: String = key
        .bytes()
        .map(|b| match b {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    json!({
        "EventName": "s3:ObjectCreated:Put",
        "Key": format!("{bucket}/{key}"),
        "Records": [{
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventTime": format!("{:.3}", Timestamp::now()),
            "eventName": "s3:ObjectCreated:Put",
            "s3": {
                "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
                "object": {"key": escaped, "size": bytes, "sequencer": "1892EA64AFA3DA2A"},
            },
        }],
    })
}

/// Starts a job for an event, as `/job/NAME` does; it runs on a thread of its own.
pub(super) fn start(cluster: &Arc<Cluster>, service: &str, event: String) {
    let number = cluster.state().jobs.len();
    let name = format!("{service}-{number:08x}-0000-4000-8000-000000000000");
    let record = JobRecord {
        service: service.to_owned(),
        status: "Pending",
        created: now(),
        started: None,
        finished: None,
        log: String::new(),
    };
    cluster.state().jobs.insert(name.clone(), record);
    let (shared, service) = (Arc::clone(cluster), service.to_owned());
    let thread = std::thread::spawn(move || {
        let Some(description) = shared.state().services.get(&service).cloned() else {
            return;
        };
        if let Some(record) = shared.state().jobs.get_mut(&name) {
            record.status = "Running";
            record.started = Some(now());
        }
        let (log, _) = supervise(&shared, &description, &event, &name);
        if let Some(record) = shared.state().jobs.get_mut(&name) {
            // Whatever the script's exit code was: the supervisor does not look at it.
            record.status = "Succeeded";
            record.finished = Some(now());
            record.log = log;
        }
    });
    cluster.state().running.push(thread);
}

/// What the supervisor does in its pod; gives the log, each line with its time before it, and the output files.
pub(super) fn supervise(
    cluster: &Cluster,
    service: &Value,
    event: &str,
    job: &str,
) -> (String, Vec<(String, Vec<u8>)>) {
    match &cluster.options.supervisor {
        Supervisor::StandIn => stand_in(cluster, service, event, job),
        Supervisor::Real(python) => real(cluster, python, service, event, job),
    }
}

fn stand_in(cluster: &Cluster, service: &Value, event: &str, job: &str) -> (String, Vec<(String, Vec<u8>)>) {
    let mut log = stamped("the stand-in supervisor starts");
    let (input, output) = (temporary(), temporary());
    let mut shell = shell(cluster, service, input.path(), job);
    shell
        .env("TMP_INPUT_DIR", input.path())
        .env("TMP_OUTPUT_DIR", output.path());
    let parsed: Value = serde_json::from_str(event).unwrap_or(Value::Null);
    if let Some(record) = parsed.pointer("/Records/0") {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let bucket = text("/s3/bucket/name");
        let key = unescaped(text("/s3/object/key"));
        let file = input.path().join(key.rsplit('/').next().unwrap_or_default());
        let body = cluster.options.store.read(bucket, &key).expect("the event's object");
        std::fs::write(&file, body).expect("writes the input");
        shell
            .env("INPUT_FILE_PATH", file)
            .env("STORAGE_OBJECT_KEY", &key)
            .env("EVENT_TIME", text("/eventTime"))
            .env("EVENT", event);
    } else {
        let file = input.path().join("event-file");
        let decoded = super::routes::decode(event.trim()).unwrap_or_else(|| event.as_bytes().to_vec());
        std::fs::write(&file, decoded).expect("writes the input");
        shell.env("INPUT_FILE_PATH", file);
    }
    log += &logged(
        shell
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("/bin/sh runs"),
    );
    let files = files(output.path());
    if parsed.pointer("/Records/0").is_some() {
        upload(cluster, service, &files);
    }
    log += &stamped("the stand-in supervisor ends");
    (log, files)
}

/// A line as Kubernetes keeps it.
fn stamped(line: &str) -> String {
    format!("{:.9} {line}\n", Timestamp::now())
}

/// Everything that a child writes until it ends, line by line as it comes.
fn logged(mut child: Child) -> String {
    let lines = Arc::new(Mutex::new(String::new()));
    let follow = |stream: Box<dyn Read + Send>| {
        let lines = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lock(&lines).push_str(&stamped(&line));
            }
        })
    };
    let streams: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("piped")),
        Box::new(child.stderr.take().expect("piped")),
    ];
    for thread in streams.map(follow) {
        drop(thread.join());
    }
    child.wait().expect("ends");
    lock(&lines).clone()
}

/// The event on standard input, script and configuration by the variables of its binary mode.
fn real(cluster: &Cluster, python: &Path, service: &Value, event: &str, job: &str) -> (String, Vec<(String, Vec<u8>)>) {
    let mut configuration = service.clone();
    let here = format!("http://{}/s3", cluster.address);
    configuration["storage_providers"] = json!({"minio": {"default": cluster.options.store.provider(&here)}});
    let script = service.get("script").and_then(Value::as_str).unwrap_or_default();
    let program = "import sys\nfrom faassupervisor.supervisor import main\nprint(main(sys.stdin.read()))";
    let mut supervisor = container(cluster, service, Command::new(python).args(["-u", "-c", program]), job);
    supervisor
        .env("FUNCTION_CONFIG", BASE64.encode(configuration.to_string()))
        .env("SCRIPT", BASE64.encode(script))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = supervisor.spawn().expect("the judges' Python starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(event.as_bytes()).expect("takes the event");
    drop(stdin);
    (logged(child), Vec::new())
}

/// The same program in the container's environment and no other.
fn container(cluster: &Cluster, service: &Value, program: &Command, job: &str) -> Command {
    let mut inside = Command::new(program.get_program());
    inside
        .args(program.get_args())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let variables = service.pointer("/environment/variables").and_then(Value::as_object);
    for (name, value) in variables.into_iter().flatten() {
        inside.env(name, value.as_str().unwrap_or_default());
    }
    inside.envs(cluster.options.container.iter().map(|(n, v)| (n, v)));
    let name = service.get("name").and_then(Value::as_str).unwrap_or_default();
    inside.env("OSCAR_SERVICE_NAME", name);
    inside.env("JOB_UUID", job).env("HOSTNAME", format!("{job}-x7k2p"));
    inside
}

/// `/bin/sh script.sh` in the container's environment and no other.
fn shell(cluster: &Cluster, service: &Value, folder: &Path, job: &str) -> Command {
    let script = folder.join("script.sh");
    let text = service.get("script").and_then(Value::as_str).unwrap_or_default();
    std::fs::write(&script, text).expect("writes the script");
    let mut shell = container(cluster, service, Command::new("/bin/sh").arg(script), job);
    shell.stdin(Stdio::null());
    shell
}

/// Everything in the output folder that matches prefix and suffix goes to every output.
fn upload(cluster: &Cluster, service: &Value, files: &[(String, Vec<u8>)]) {
    for output in service.get("output").and_then(Value::as_array).into_iter().flatten() {
        let path = output.get("path").and_then(Value::as_str).unwrap_or_default();
        let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
        for (name, body) in files {
            let listed = |key: &str, fits: &dyn Fn(&str) -> bool| {
                let list: Vec<&str> = output
                    .get(key)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                list.is_empty() || list.into_iter().any(fits)
            };
            if listed("prefix", &|p| name.starts_with(p)) && listed("suffix", &|s| name.ends_with(s)) {
                let key = format!("{folder}/{name}");
                cluster
                    .options
                    .store
                    .write(bucket, key.trim_start_matches('/'), body.clone());
            }
        }
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("lists the outputs");
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, std::fs::read(entry.path()).ok()?)))
        .collect();
    files.sort();
    files
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Undoes query escaping.
pub(super) fn unescaped(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        let byte = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
        if let (b'%', Some(byte)) = (first, byte) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
