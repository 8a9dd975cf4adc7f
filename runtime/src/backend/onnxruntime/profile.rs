//! Reads the profile that ONNX Runtime writes: one event a kernel, times in µs.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::backend::KernelTime;
use crate::bundle::read_bounded;

/// Longest profile that is read, bytes.
const MAX_PROFILE_BYTES: u64 = 256 * 1024 * 1024;

/// The kernels of the last run in the file, in the order in which they ran.
pub(super) fn read(path: &Path) -> Result<Vec<KernelTime>, String> {
    let bytes = read_bounded(path, MAX_PROFILE_BYTES).map_err(|why| why.to_string())?;
    let events: Vec<Value> = serde_json::from_slice(&bytes).map_err(|why| why.to_string())?;
    let mut last = Vec::new();
    for event in &events {
        // A run's own event follows its kernels; the next run's kernels follow that.
        let name = event.get("name").and_then(Value::as_str).unwrap_or_default();
        if name == "model_run" {
            last.push(Vec::new());
            continue;
        }
        let Some(node) = name.strip_suffix("_kernel_time") else {
            continue;
        };
        if last.is_empty() {
            last.push(Vec::new());
        }
        let op = event
            .pointer("/args/op_name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let micros = event.get("dur").and_then(Value::as_u64).unwrap_or(0);
        if let Some(run) = last.last_mut() {
            run.push(KernelTime {
                kernel: node.to_owned(),
                op: op.to_owned(),
                covers: vec![node.to_owned(), of_the_model(node).to_owned()],
                time: Duration::from_micros(micros),
            });
        }
    }
    let run = last.into_iter().rev().find(|run: &Vec<KernelTime>| !run.is_empty());
    run.ok_or_else(|| "no kernel is in it".to_owned())
}

/// A name without what ONNX Runtime's optimiser appends: `_nchwc` to what it moved to a blocked layout (nchwc_transformer.cc),
/// `_token_7` to a name that was taken (`Graph::GenerateNodeName`).
fn of_the_model(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let name = match name.rsplit_once("_token_") {
        Some((before, number)) if is_number(number) => before,
        _ => name,
    };
    name.strip_suffix("_nchwc").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::of_the_model;

    #[test]
    fn what_the_optimiser_appends_is_no_part_of_a_name() {
        for (said, name) in [
            ("Conv1_relu6_nchwc", "Conv1_relu6"),
            ("Conv1_nchwc_token_12", "Conv1"),
            ("my_token_", "my_token_"),
            ("_nchwc_1", "_nchwc_1"),
            ("/c1/Conv", "/c1/Conv"),
        ] {
            assert_eq!(of_the_model(said), name);
        }
    }
}
