//! `kerf split --all`: every legal cut at one value.

use std::time::Instant;

use super::{Args, FileLayout, options};
use crate::commands::print;
use crate::cut::Cutter;
use crate::emit;
use crate::exit::{Exit, Failure};
use crate::graph::Graph;
use crate::onnx::Model;

/// Writes the set, or the reference tool's folders, and says what it took.
pub(super) fn run(args: &Args, model: &Model, graph: &Graph) -> Result<(), Failure> {
    let start = Instant::now();
    let cuts = Cutter::new(graph).singles();
    if cuts.is_empty() {
        let why = "no single value of this model is a legal cut; `kerf layers` lists them, --at takes several";
        return Err(Failure::new(Exit::NoCut, anyhow::anyhow!(why)));
    }
    let count = cuts.len();
    let timing = match args.layout {
        FileLayout::Reference => emit::reference::every_split(model, graph, cuts, &args.output)?.1,
        FileLayout::Bundle => emit::set(model, graph, cuts, &options(args, graph)?, &args.output)?.1,
    };
    let total = start.elapsed().as_secs_f64() * 1e3;
    print(&format!(
        "{}: {count} cuts in {total:.1} ms, {:.2} ms a cut (writing {:.1} ms, hashing {:.1} ms)\n",
        args.output.display(),
        total / count as f64,
        timing.writing.as_secs_f64() * 1e3,
        timing.hashing.as_secs_f64() * 1e3,
    ))
}
