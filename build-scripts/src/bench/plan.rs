//! Is the planner right? Its choices, and the simple ones, run for real over a link of a given speed and delay.
//!
//! Owns: building the experiment, and the table of its cells. Must not know: how a cell is measured: `tests/src/regret.rs` does.
//! Cells are kept in `target/plan-bench`: an interrupted run goes on where it was; remove the folder to measure anew.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::repo::{self, Programs};

/// The planned way is at most this much slower than the best that was run, as a share …
const REGRET: f64 = 0.05;
/// … or in milliseconds.
const REGRET_MS: f64 = 1.0;
/// A prediction within this share is right …
const OFF: f64 = 0.10;
/// … and this share of the cells' are.
const RIGHT: f64 = 0.90;
/// A profile, a link and a plan take at most this share of a sweep's time.
const SHARE: f64 = 1.0 / 20.0;

/// A way's device is this many times slower than the cloud in the second table, where cuts win.
const SLOW: [&str; 4] = [
    "models=efficientnet_lite0",
    "slower=16,30",
    "mbit=1,2.5",
    "codec-error=0.02",
];
/// Where a sweep is run for real; what it takes in other cells is computed from it.
const SWEEP: [&str; 4] = ["sweep", "models=lenet5,resnet8_digits", "mbit=10", "rtt=30"];

/// Measures what is missing and prints the tables.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let folder = repo::target_folder()?.join("plan-bench");
    let slow = folder.join("slow");
    measure(programs, &folder, &SWEEP)?;
    measure(programs, &folder, &[])?;
    measure(programs, &slow, &SLOW)?;
    let sweeps = read(&folder.join("sweeps.jsonl"))?;
    let first = judge(&read(&folder.join("cells.jsonl"))?, &sweeps);
    println!("\na slower device, int8 allowed:");
    judge(&read(&slow.join("cells.jsonl"))?, &sweeps)?;
    first
}

fn measure(programs: &Programs, folder: &Path, what: &[&str]) -> Result<()> {
    let mut experiment = repo::cargo();
    experiment.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "kerf-tests",
        "--example",
        "plan_regret",
        "--",
    ]);
    experiment.arg(folder).args(what);
    experiment
        .env("KERF_BIN", &programs.kerf)
        .env("KERF_STAGE_BIN", &programs.kerf_stage);
    repo::run(&mut experiment)
}

fn read(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn figure(cell: &Value, name: &str) -> f64 {
    cell[name].as_f64().unwrap_or(f64::NAN)
}

/// Seconds that a way of a sweep takes beside its frames: splitting, starting and loading the stages.
fn beside_frames_s(sweeps: &[Value]) -> f64 {
    let each = sweeps
        .iter()
        .map(|s| (figure(s, "sweep_for_real_s") - figure(s, "frames_s")) / figure(s, "ways"));
    // The smallest of the models that were swept: larger ones take longer to load.
    each.fold(f64::INFINITY, f64::min)
}

fn judge(cells: &[Value], sweeps: &[Value]) -> Result<()> {
    println!(
        "| model | slower | Mbit/s | RTT ms | planned | predicted ms | measured ms | off | best run ms | regret ms | ways | profile + plan s | link s | sweep s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let (mut regretted, mut right, mut slow) = (Vec::new(), 0_usize, Vec::new());
    let beside = beside_frames_s(sweeps);
    for cell in cells {
        let of = |name: &str| figure(cell, name);
        let name = format!("{} {} {}", cell["model"], of("mbit_s"), of("rtt_ms"));
        let most = (of("best_ms") * REGRET).max(REGRET_MS);
        if of("regret_ms").max(cell["regret_composed_ms"].as_f64().unwrap_or(0.0)) > most {
            regretted.push(name.clone());
        }
        right += usize::from(of("off").abs() <= OFF);
        let (plan_s, sweep_s) = (
            of("profile_s") + of("plan_s"),
            of("sweep_frames_s") + of("sweep_ways") * beside,
        );
        if plan_s > sweep_s * SHARE {
            slow.push(name);
        }
        println!(
            "| {} | {} | {} | {} | {} | {:.2} | {:.2} | {:+.1} % | {:.2} | {:.2} | {} | {:.1} | {:.1} | {:.0} |",
            cell["model"].as_str().unwrap_or_default(),
            of("slower"),
            of("mbit_s"),
            of("rtt_ms"),
            cell["planned"].as_str().unwrap_or_default(),
            of("predicted_ms"),
            of("measured_ms"),
            of("off") * 100.0,
            of("best_ms"),
            of("regret_ms"),
            cell["ways"].as_array().map_or(0, Vec::len),
            plan_s,
            of("link_s"),
            sweep_s,
        );
    }
    let share = right as f64 / cells.len().max(1) as f64;
    println!("{} cells; {:.0} % predicted within 10 %", cells.len(), share * 100.0);
    println!("less than 20 times cheaper than the sweep: {slow:?}");
    ensure!(
        regretted.is_empty(),
        "another way is over 5 % and 1 ms better in {regretted:?}"
    );
    ensure!(
        share >= RIGHT,
        "{:.0} % of the cells are predicted within 10 %, expected 90 %",
        share * 100.0
    );
    Ok(())
}
