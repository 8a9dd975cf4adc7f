//! Promise: a hostile file is refused with exit code 10 and one line, within 2 seconds and 256 MB, and nothing outside
//! its folder is opened (what lies there is a pipe that nobody writes to: opening it would hang).

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test says what failed by panicking"
)]

use kerf_splitter::graph::Graph;
use kerf_splitter::graph::shapes::Symbols;
use kerf_splitter::onnx::Model;
use kerf_tests::hostile::{self, Case};
use kerf_tests::zoo;
use prost::Message as _;

/// 256 MB of memory.
const KIBIBYTES: u32 = 262_144;
/// Of the processor: the machine may be busy with other tests.
const CPU_SECONDS: u32 = 2;
/// Whoever waits for the canary ends here.
const WALL_SECONDS: u32 = 20;

/// Runs `kerf` under limits on memory and time; gives exit code and standard error.
fn limited(case: &Case, command: &str) -> (Option<i32>, String) {
    let kerf = kerf_tests::kerf();
    let out = case.folder.path().join("out");
    let script = format!(
        "ulimit -d {KIBIBYTES}; ulimit -t {CPU_SECONDS}; exec timeout -s KILL {WALL_SECONDS} '{}' {command}",
        kerf.get_program().display()
    );
    let run = std::process::Command::new("bash")
        .args(["-c", &script])
        .env("MODEL", &case.model)
        .env("OUT", &out)
        .output()
        .expect("bash runs");
    assert!(!out.exists(), "{}: something was written", case.name);
    (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
}

#[test]
fn every_hostile_file_is_refused_in_one_line() {
    let cases = hostile::cases();
    assert!(cases.len() >= 40, "only {} hostile files", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        for command in ["layers \"$MODEL\"", "split \"$MODEL\" -o \"$OUT\""] {
            let (code, stderr) = limited(case, command);
            let one_line = stderr.lines().count() == 1;
            if code != Some(10) || !one_line {
                wrong.push(format!("{} ({command}): exit {code:?}, stderr {stderr:?}", case.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Reads and builds a graph; what matters is that it ends without a panic.
fn reads(bytes: Vec<u8>) -> bool {
    let folder = std::path::Path::new("/nonexistent");
    let model = Model::from_bytes(bytes.into(), "m", folder);
    model.is_ok_and(|model| Graph::build(&model, &Symbols::new()).is_ok())
}

#[test]
fn every_prefix_is_refused() {
    let bytes = zoo::random(5).model.encode_to_vec();
    assert!(reads(bytes.clone()));
    // The fields behind the graph are the operator sets and functions, without which the model is not valid either.
    let refused = (0..bytes.len()).filter(|end| !reads(bytes[..*end].to_vec())).count();
    assert!(
        refused + 64 > bytes.len(),
        "{refused} of {} prefixes refused",
        bytes.len()
    );
    let small = zoo::two_relus().encode_to_vec();
    for end in 0..small.len() {
        assert!(!reads(small[..end].to_vec()), "a prefix of {end} bytes was taken");
    }
}

#[test]
fn no_flipped_byte_panics() {
    let bytes = zoo::random(6).model.encode_to_vec();
    for (at, flip) in (0..bytes.len())
        .step_by(5)
        .zip([0x01, 0x80, 0xff, 0x08].into_iter().cycle())
    {
        let mut damaged = bytes.clone();
        damaged[at] ^= flip;
        reads(damaged);
    }
}
