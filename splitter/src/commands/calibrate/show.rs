//! What calibrating showed: models that were left out, beside the machine's own noise.

use std::fmt::Write as _;

use kerf_wire::profile::Sample;

use super::super::table::{ms, table};
use super::Seen;
use crate::predict::HeldOut;

/// Runnable processes a CPU from which on figures are not to be trusted.
const BUSY: f64 = 0.5;

/// A row a model, and the figures of all of them.
pub(super) fn table_of(held_out: &[HeldOut], measured: &[Seen]) -> String {
    let of = |held: &HeldOut| {
        measured
            .iter()
            .find(|seen| seen.steady.profile.model.name == held.model)
    };
    let row = |held: &HeldOut| {
        let noise = of(held).map_or(0.0, |seen| seen.steady.noise);
        [
            held.model.clone(),
            ms(held.measured_ms),
            ms(held.predicted_ms),
            format!("{:.1} %", held.relative_error() * 100.0),
            format!("{:.1} %", noise * 100.0),
            format!("{:.0} % of {}", held.covered * 100.0, held.node_errors.len()),
        ]
    };
    let rows: Vec<[String; 6]> = held_out.iter().map(row).collect();
    let head = [
        "LEFT OUT",
        "MEASURED MS",
        "PREDICTED",
        "OFF BY",
        "RUN-TO-RUN",
        "NODES IN 90 %",
    ];
    let errors: Vec<f64> = held_out.iter().map(HeldOut::relative_error).collect();
    let median = Sample::of(&errors).median;
    let nodes: usize = held_out.iter().map(|held| held.node_errors.len()).sum();
    let covered: f64 = held_out
        .iter()
        .map(|held| held.covered * held.node_errors.len() as f64)
        .sum();
    let mut text = format!(
        "{}median error of whole models {:.1} %; {:.1} % of {nodes} left-out nodes within their 90 % intervals\n",
        table(head, &rows, 1),
        median * 100.0,
        covered / nodes.max(1) as f64 * 100.0
    );
    let disturbed: u32 = measured.iter().map(|seen| seen.steady.disturbed).sum();
    let load = measured
        .iter()
        .filter_map(|seen| seen.steady.profile.machine.background_load);
    let load = load.fold(0.0, f64::max);
    if disturbed > 0 {
        let _ = writeln!(
            text,
            "{disturbed} runs were repeated because something else took the CPU"
        );
    }
    if load > BUSY {
        let _ = writeln!(
            text,
            "this machine was busy ({load:.1} processes a CPU): calibrate again when it is quiet"
        );
    }
    text
}
