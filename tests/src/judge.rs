//! ONNX Runtime and onnx.checker as judges of bundles, through one Python process a model.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

/// Has the judges compare each bundle (a folder or a manifest) with the whole model, and fails on the first that is not
/// accepted or differs by more than `tolerance`. False where there is no judge.
pub fn parts_equal_whole(model: &Path, inputs: Option<&Path>, bundles: &[PathBuf], tolerance: f64) -> bool {
    let Some(mut python) = crate::python() else {
        return false;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/parts.py");
    let job = json!({"model": model, "inputs": inputs, "bundles": bundles});
    let mut child = python
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the judges' Python starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(job.to_string().as_bytes()).expect("the job is read");
    drop(stdin);
    let output = child.wait_with_output().expect("the judges end");
    assert!(output.status.success(), "the judges failed on {}", model.display());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdicts: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a verdict is JSON"))
        .collect();
    assert_eq!(verdicts.len(), bundles.len(), "one verdict a bundle");
    for verdict in verdicts {
        let relative = verdict["relative"].as_f64();
        let right = relative.is_some_and(|r| r <= tolerance) && verdict["argmax"] == true;
        assert!(right, "{}: {verdict}", model.display());
    }
    true
}
