//! Runs the planner's choices for real in cells of speed and delay: `cargo xtask bench plan` builds and starts it.
//!
//! `plan_regret FOLDER [models=A,B] [mbit=1,10] [rtt=1,30] [slower=8] [codec-error=0.02] [sweep]`. Figures are appended to
//! FOLDER/cells.jsonl, a line a cell; what is there is not measured again. With `sweep` every way is run in each cell, which shows
//! what planning by trying takes: FOLDER/sweeps.jsonl.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "an example ends where something is wrong"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use kerf_tests::regret::{Bench, Cell, DEVICE, Device, SUBJECTS};
use serde_json::Value;

struct Asked {
    folder: PathBuf,
    models: Vec<String>,
    mbit_s: Vec<f64>,
    rtt_ms: Vec<f64>,
    slower: Vec<f64>,
    codec_error: Option<f64>,
    is_sweep: bool,
}

impl Asked {
    fn read() -> Self {
        let mut arguments = std::env::args().skip(1);
        let mut asked = Self {
            folder: PathBuf::from(arguments.next().expect("a folder")),
            models: SUBJECTS.iter().map(|s| s.model.to_owned()).collect(),
            mbit_s: vec![1.0, 10.0, 100.0, 1000.0],
            rtt_ms: vec![1.0, 30.0, 100.0],
            slower: vec![DEVICE.slower],
            codec_error: None,
            is_sweep: false,
        };
        for argument in arguments {
            let (name, list) = argument.split_once('=').unwrap_or((argument.as_str(), ""));
            let words: Vec<String> = list.split(',').map(str::to_owned).collect();
            let numbers = || words.iter().map(|word| word.parse().expect("a number")).collect();
            match name {
                "models" => asked.models = words,
                "mbit" => asked.mbit_s = numbers(),
                "rtt" => asked.rtt_ms = numbers(),
                "slower" => asked.slower = numbers(),
                "codec-error" => asked.codec_error = Some(list.parse().expect("a number")),
                "sweep" => asked.is_sweep = true,
                other => panic!("{other:?} is not known"),
            }
        }
        asked
    }
}

fn main() {
    let asked = Asked::read();
    std::fs::create_dir_all(&asked.folder).expect("a folder");
    let name = if asked.is_sweep { "sweeps.jsonl" } else { "cells.jsonl" };
    let file = asked.folder.join(name);
    for subject in SUBJECTS
        .into_iter()
        .filter(|s| asked.models.iter().any(|m| m == s.model))
    {
        for slower in asked.slower.iter().copied() {
            let device = Device {
                slower,
                codec_error: asked.codec_error,
            };
            let mut bench = None;
            for cell in cells(&asked) {
                if is_there(&file, subject.model, cell, slower) {
                    continue;
                }
                let bench = bench.get_or_insert_with(|| Bench::new(subject, device, &asked.folder));
                let figures = if asked.is_sweep {
                    bench.sweep_for_real(cell)
                } else {
                    bench.cell(cell)
                };
                let mut out = std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&file)
                    .expect("a file");
                writeln!(out, "{figures}").expect("a line is written");
                println!(
                    "{}",
                    if asked.is_sweep {
                        figures.to_string()
                    } else {
                        line(&figures)
                    }
                );
            }
        }
    }
}

fn cells(asked: &Asked) -> impl Iterator<Item = Cell> {
    let with = |mbit_s: f64| {
        asked.rtt_ms.iter().map(move |rtt_ms| Cell {
            mbit_s,
            rtt_ms: *rtt_ms,
        })
    };
    asked.mbit_s.iter().copied().flat_map(with)
}

fn is_there(file: &Path, model: &str, cell: Cell, slower: f64) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.into_iter().any(|there| {
        there["model"] == model
            && there["mbit_s"] == cell.mbit_s
            && there["rtt_ms"] == cell.rtt_ms
            && there["slower"] == slower
    })
}

fn line(cell: &Value) -> String {
    let ms = |name: &str| cell[name].as_f64().unwrap_or(f64::NAN);
    format!(
        "{:22} {:>2} x {:>6} Mbit/s {:>4} ms  predicted {:>8.2} measured {:>8.2} ({:+.1} %)  best {:>8.2} regret {:>6.2}  {}",
        cell["model"].as_str().unwrap_or_default(),
        ms("slower"),
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
