//! A tail that stays up against a job for each call, by the test of that promise with release programs.

use anyhow::Result;

use crate::repo::{self, Programs};

/// Runs the ignored test; it prints the table and fails below the aim.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let mut command = repo::cargo();
    command.args(["test", "--package", "kerf-tests", "--test", "cloud_resident", "--"]);
    command.args(["--ignored", "--nocapture"]);
    let python = repo::root().join(".venv/bin/python3");
    if std::env::var_os("KERF_TEST_PYTHON").is_none() && python.is_file() {
        command.env("KERF_TEST_PYTHON", python);
    }
    command
        .env("KERF_BIN", &programs.kerf)
        .env("KERF_STAGE_BIN", &programs.kerf_stage);
    repo::run(&mut command)
}
