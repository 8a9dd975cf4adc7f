//! Runs the planner's choices for real in cells of speed and delay: `cargo xtask bench plan` builds and starts it.
//!
//! `plan_regret FOLDER [MODELS [MBIT/S [RTT MS]]]`, each a list with commas. Figures are appended to FOLDER/cells.jsonl, a line a cell;
//! what is there is not measured again.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an example ends where something is wrong"
)]

use std::io::Write as _;
use std::path::PathBuf;

use kerf_tests::regret::{Bench, Cell, SUBJECTS};
use serde_json::Value;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(arguments.first().expect("a folder"));
    let list = |index: usize, otherwise: &str| -> Vec<String> {
        let text = arguments.get(index).map_or(otherwise, String::as_str);
        text.split(',').map(str::to_owned).collect()
    };
    let (models, speeds, rtts) = (list(1, "all"), list(2, "1,10,100,1000"), list(3, "1,30,100"));
    let number = |text: &String| text.parse::<f64>().expect("a number");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("cells.jsonl");
    for subject in SUBJECTS {
        if models[0] != "all" && !models.iter().any(|model| model == subject.model) {
            continue;
        }
        let mut bench = None;
        for mbit_s in speeds.iter().map(number) {
            for rtt_ms in rtts.iter().map(number) {
                if is_there(&file, subject.model, mbit_s, rtt_ms) {
                    continue;
                }
                let bench = bench.get_or_insert_with(|| Bench::new(subject, &folder));
                let figures = bench.cell(Cell { mbit_s, rtt_ms });
                let mut out = std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&file)
                    .expect("a file");
                writeln!(out, "{figures}").expect("a line is written");
                println!("{}", line(&figures));
            }
        }
    }
}

fn is_there(file: &std::path::Path, model: &str, mbit_s: f64, rtt_ms: f64) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .into_iter()
        .any(|cell| cell["model"] == model && cell["mbit_s"] == mbit_s && cell["rtt_ms"] == rtt_ms)
}

fn line(cell: &Value) -> String {
    let ms = |name: &str| cell[name].as_f64().unwrap_or(f64::NAN);
    format!(
        "{:24} {:>6} Mbit/s {:>4} ms  predicted {:>8.2} measured {:>8.2} ({:+.1} %)  best {:>8.2} regret {:>6.2}  {}",
        cell["model"].as_str().unwrap_or_default(),
        ms("mbit_s"),
        ms("rtt_ms"),
        ms("predicted_ms"),
        ms("measured_ms"),
        ms("off") * 100.0,
        ms("best_ms"),
        ms("regret_ms"),
        cell["planned"].as_str().unwrap_or_default(),
    )
}
