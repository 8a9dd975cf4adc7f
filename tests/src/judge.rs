//! ONNX Runtime and onnx.checker as judges of bundles, through one Python process a model.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

/// A whole model and bundles of it.
pub struct Job {
    /// The whole model.
    pub model: PathBuf,
    /// An `.npz` with `in_0` …; random inputs where none.
    pub inputs: Option<PathBuf>,
    /// Folders or manifests.
    pub bundles: Vec<PathBuf>,
}

/// Has the judges compare each bundle with its whole model, all in one process, and fails on the first that is not
/// accepted or differs by more than `tolerance`. False where there is no judge.
pub fn judge(jobs: &[Job], tolerance: f64) -> bool {
    let Some(mut python) = crate::python() else {
        return false;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/parts.py");
    let job = |job: &Job| json!({"model": job.model, "inputs": job.inputs, "bundles": job.bundles});
    let document = Value::Array(jobs.iter().map(job).collect());
    let mut child = python
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the judges' Python starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin
        .write_all(document.to_string().as_bytes())
        .expect("the jobs are read");
    drop(stdin);
    let output = child.wait_with_output().expect("the judges end");
    assert!(output.status.success(), "the judges failed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdicts: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a verdict is JSON"))
        .collect();
    let bundles: usize = jobs.iter().map(|j| j.bundles.len()).sum();
    assert_eq!(verdicts.len(), bundles, "one verdict a bundle");
    for verdict in verdicts {
        let relative = verdict["relative"].as_f64();
        let right = relative.is_some_and(|r| r <= tolerance) && verdict["argmax"] == true;
        assert!(right, "{verdict}");
    }
    true
}
