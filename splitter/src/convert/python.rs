//! Runs a converter's script: a job as JSON on its stdin, a result as JSON on its stdout, all else into a log.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use kerf_wire::manifest::{Binding, Comparison, Conversion};
use serde::Deserialize;

use super::samples::PartSamples;
use super::{ConvertError, Kind, Made, Tool, at, tools};
use crate::limits::MAX_CONVERTER_RESULT_BYTES;

const COMMON: &str = include_str!("scripts/common.py");
const TFLITE: &str = include_str!("scripts/tflite.py");
const OPENVINO_IR: &str = include_str!("scripts/openvino_ir.py");

/// What a script answers.
#[derive(Debug, Deserialize)]
struct Answer {
    tool: String,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
    /// max|a−b| / max|b| on the first sample, which becomes the self-test's.
    first_relative: f64,
    comparison: Comparison,
}

/// A tensor of the artifact: the part's input or output of this number, its axes in this order.
#[derive(Debug, Deserialize)]
struct Place {
    index: usize,
    order: Vec<u8>,
}

/// Converts `model` into `output`, and compares.
pub(super) fn convert(kind: Kind, part: &PartSamples<'_>, model: &Path, output: &Path) -> Result<Made, ConvertError> {
    let tool = if kind.format() == kerf_wire::manifest::Format::OpenvinoIr {
        Tool::Openvino
    } else {
        Tool::Tflite
    };
    let python = tools::python(tool)?;
    let scripts = output.with_extension("scripts");
    std::fs::create_dir_all(&scripts).map_err(at(&scripts))?;
    let script = if tool == Tool::Openvino { OPENVINO_IR } else { TFLITE };
    for (name, text) in [("common.py", COMMON), ("convert.py", script)] {
        let file = scripts.join(name);
        std::fs::write(&file, text).map_err(at(&file))?;
    }
    let samples = scripts.join("samples.npz");
    part.write(&samples)?;
    let answers = scripts.join("answers.npz");
    let job = serde_json::json!({
        "model": model, "output": output, "samples": samples, "answers": answers,
        "precision": kind.precision().as_str(),
    });
    let log = tools::folder().join(format!("{}.log", tool.name()));
    let refused = |why: String| ConvertError::Refused {
        kind,
        part: part.index,
        why,
        log: log.clone(),
    };
    let answer = run(&python, &scripts, &job.to_string(), &log).map_err(refused)?;
    let got = part.read(&answers).map_err(refused)?;
    std::fs::remove_dir_all(&scripts).map_err(at(&scripts))?;
    // Int8 is judged on the board by what was seen of the input that the board's self-test has.
    let measured = if kind.needs_data() {
        answer.first_relative
    } else {
        answer.comparison.difference_relative
    };
    let conversion = Conversion {
        tool: answer.tool,
        precision: kind.precision(),
        tolerance: Some(kind.tolerance(Some(measured))),
        inputs: bindings(&answer.inputs, part.inputs),
        outputs: bindings(&answer.outputs, part.outputs),
        comparison: Some(answer.comparison),
    };
    Ok(Made { conversion, got })
}

/// Empty where every tensor is the part's own, in the part's order: nothing to say.
fn bindings(places: &[Place], values: &[String]) -> Vec<Binding> {
    let straight = |order: &[u8]| order.iter().enumerate().all(|(k, axis)| usize::from(*axis) == k);
    let same = places
        .iter()
        .enumerate()
        .all(|(k, p)| p.index == k && straight(&p.order));
    if same {
        return Vec::new();
    }
    let binding = |place: &Place| Binding {
        value: values.get(place.index).cloned().unwrap_or_default(),
        order: if straight(&place.order) {
            Vec::new()
        } else {
            place.order.clone()
        },
    };
    places.iter().map(binding).collect()
}

fn run(python: &Path, scripts: &Path, job: &str, log: &Path) -> Result<Answer, String> {
    let text = |why: std::io::Error| why.to_string();
    let said = File::create(log).map_err(text)?;
    let mut child = Command::new(python)
        .arg(scripts.join("convert.py"))
        .current_dir(scripts)
        // What TensorFlow likes to tell is not for here, and another site's packages are not ours.
        .env("TF_CPP_MIN_LOG_LEVEL", "2")
        .env("PYTHONNOUSERSITE", "1")
        .env_remove("PYTHONPATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn()
        .map_err(text)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A script that ended before it read its job says why in its log.
        let _ = stdin.write_all(job.as_bytes());
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut bounded = stdout.take(MAX_CONVERTER_RESULT_BYTES as u64);
        bounded.read_to_end(&mut answer).map_err(text)?;
    }
    if !child.wait().map_err(text)?.success() {
        let all = std::fs::read(log).map_err(text)?;
        let all = String::from_utf8_lossy(&all).into_owned();
        let last = all.lines().rev().find(|line| !line.trim().is_empty());
        return Err(last.unwrap_or("it says nothing").trim().to_owned());
    }
    serde_json::from_slice(&answer).map_err(|why| format!("its answer does not read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_are_the_parts_own_need_no_binding() {
        let place = |index, order: &[u8]| Place {
            index,
            order: order.to_vec(),
        };
        let values = ["a".to_owned(), "b".to_owned()];
        assert!(bindings(&[place(0, &[0, 1]), place(1, &[0])], &values).is_empty());
        let turned = bindings(&[place(1, &[0]), place(0, &[0, 2, 3, 1])], &values);
        assert_eq!(
            turned[0],
            Binding {
                value: "b".to_owned(),
                order: Vec::new()
            }
        );
        assert_eq!(
            turned[1],
            Binding {
                value: "a".to_owned(),
                order: vec![0, 2, 3, 1]
            }
        );
    }
}
