//! Promise: what travels between two versions of Kerf stays readable. The golden messages are those that the format's
//! description gives, written by a script that shares no code with us.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::Path;

#[test]
fn the_golden_messages_are_what_the_description_says() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/golden");
    let made = tempfile::tempdir().unwrap();
    for script in ["make.py", "make_codecs.py"] {
        let Some(mut python) = kerf_tests::python() else { return };
        kerf_tests::succeed(python.arg(golden.join(script)).arg(made.path()));
    }
    let mut compared = 0;
    for entry in std::fs::read_dir(made.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let again = std::fs::read(made.path().join(&name)).unwrap();
        let kept = std::fs::read(golden.join(&name)).unwrap();
        assert_eq!(again, kept, "{name:?} is not what the script makes");
        compared += 1;
    }
    let is_message = |entry: &std::io::Result<std::fs::DirEntry>| {
        entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "bin")
    };
    assert_eq!(compared, std::fs::read_dir(golden).unwrap().filter(is_message).count());
}
