//! Is the planner right? Its choices, and the simple ones, run for real over a link of a given speed and delay.
//!
//! Owns: building the experiment, and the table of its cells. Must not know: how a cell is measured: `tests/src/regret.rs` does.
//! Cells are kept in `target/plan-bench`: an interrupted run goes on where it was; remove the folder to measure anew.

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

/// Measures what is missing and prints the table.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let folder = repo::target_folder()?.join("plan-bench");
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
    experiment.arg(&folder);
    experiment
        .env("KERF_BIN", &programs.kerf)
        .env("KERF_STAGE_BIN", &programs.kerf_stage);
    repo::run(&mut experiment)?;
    let file = folder.join("cells.jsonl");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let cells = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    judge(&cells)
}

fn judge(cells: &[Value]) -> Result<()> {
    println!(
        "| model | Mbit/s | RTT ms | planned | predicted ms | measured ms | off | best run ms | regret ms | plan s | sweep s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let (mut regretted, mut right, mut slow) = (Vec::new(), 0_usize, Vec::new());
    for cell in cells {
        let figure = |name: &str| cell[name].as_f64().unwrap_or(f64::NAN);
        let name = format!("{} {} {}", cell["model"], figure("mbit_s"), figure("rtt_ms"));
        let most = (figure("best_ms") * REGRET).max(REGRET_MS);
        if figure("regret_ms").max(cell["regret_composed_ms"].as_f64().unwrap_or(0.0)) > most {
            regretted.push(name.clone());
        }
        right += usize::from(figure("off").abs() <= OFF);
        if figure("profile_link_plan_s") > figure("sweep_s") * SHARE {
            slow.push(name);
        }
        println!(
            "| {} | {} | {} | {} | {:.2} | {:.2} | {:+.1} % | {:.2} | {:.2} | {:.1} | {:.0} |",
            cell["model"].as_str().unwrap_or_default(),
            figure("mbit_s"),
            figure("rtt_ms"),
            cell["planned"].as_str().unwrap_or_default(),
            figure("predicted_ms"),
            figure("measured_ms"),
            figure("off") * 100.0,
            figure("best_ms"),
            figure("regret_ms"),
            figure("profile_link_plan_s"),
            figure("sweep_s"),
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
