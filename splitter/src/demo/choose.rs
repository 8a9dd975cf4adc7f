//! Which cut the demo shows, and why: the planner's best, on a quick profile of this machine.
//!
//! Owns: the link and the cloud that are taken for granted, and the sentence about them. Must not know: processes, files
//! other than the model's.
//! The demo always cuts, to show that it works; where cutting would not pay the planner's verdict says so beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::measure;

use crate::commands::plan::{faster, machine};
use crate::cut::Cut;
use crate::exit::{Exit, Failure};
use crate::graph::{Graph, ValueId};
use crate::plan::case::Link;
use crate::plan::document::PlannedCut;
use crate::plan::of_graph::{Photo, Pins, case_of};
use crate::plan::{Goal, Plan, Question, plan};
use crate::profile::{Job, profile_model};

/// The link of the demo's verdict: a usual uplink.
const UPLINK_KBIT_S: f64 = 8_000.0;
/// Its time there and back.
const RTT_MS: f64 = 20.0;
/// The cloud of the demo's verdict, against this machine in the device's place.
const CLOUD_SPEED: f64 = 10.0;
/// A quick profile, not a good one: `kerf profile` takes its time.
fn quick() -> measure::Plan {
    measure::Plan {
        warm_up: 2,
        runs: 8,
        most: Duration::from_secs(2),
        ..measure::Plan::default()
    }
}

/// The planner's cut, and why that one.
///
/// # Errors
/// When the model does not run here, or has no legal cut.
pub(super) fn choose(model: &Path, graph: &Graph, pictures: &[PathBuf]) -> Result<(Cut, String), Failure> {
    let plan = quick_plan(model, graph, photo_bytes(pictures))?;
    let cuts: &[PlannedCut] = match (plan.cuts.as_slice(), &plan.best_cut) {
        (_, Some(best)) => &best.cuts,
        (cuts, None) => cuts,
    };
    let names = cuts.first().map_or(&[][..], |cut| cut.values.as_slice());
    let made = |name: &String| {
        graph
            .find(name)
            .filter(|value| graph.value(*value).producer().is_some())
    };
    let at: Vec<ValueId> = names.iter().filter_map(made).collect();
    if at.is_empty() {
        return Err(Failure::new(
            Exit::NoCut,
            anyhow::anyhow!("this network has no legal cut"),
        ));
    }
    let why = format!(
        "the planner's best cut for {} Mbit/s up, {RTT_MS} ms there and back and a cloud {CLOUD_SPEED}\n\
         times as fast as this machine, which was profiled just now. Its verdict there:\n{}",
        UPLINK_KBIT_S / 1e3,
        plan.verdict.trim_end_matches('.')
    );
    Ok((Cut::new(graph, &at)?, why))
}

fn quick_plan(model: &Path, graph: &Graph, photo_bytes: u64) -> Result<Plan, Failure> {
    let job = Job {
        model,
        backend: kerf_runtime::step::DEFAULT_BACKEND,
        options: LoadOptions::default(),
        plan: quick(),
        machine: "this machine".to_owned(),
        watts: None,
    };
    let (profile, _) = profile_model(&job, |_| ())?;
    let device = machine(graph, &profile, &mut Vec::new());
    let cloud = faster(&device, CLOUD_SPEED);
    let machines: Vec<_> = std::iter::once(device).chain(cloud).collect();
    let photo = Photo {
        bytes: photo_bytes,
        read_ms: vec![0.0; machines.len()],
    };
    let link = Link::new(UPLINK_KBIT_S, RTT_MS);
    let case = case_of(graph, &machines, &[link], Some(&photo), &Pins::default())?;
    Ok(plan(&case, &Question::goal(Goal::Latency))?)
}

/// The mean length of the pictures.
fn photo_bytes(pictures: &[PathBuf]) -> u64 {
    let lengths: Vec<u64> = pictures.iter().filter_map(|p| Some(p.metadata().ok()?.len())).collect();
    lengths.iter().sum::<u64>() / (lengths.len() as u64).max(1)
}
