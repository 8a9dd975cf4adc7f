//! What a plan means for `kerf split`.

use std::collections::BTreeMap;
use std::path::Path;

use kerf_wire::manifest;

use super::super::find_values;
use crate::cut::{Cut, Cutter};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::Graph;
use crate::onnx::Model;
use crate::plan::Plan;
use crate::plan::document::{MAX_PLAN_BYTES, Placement, PlannedCut};

/// Reads a plan.
///
/// # Errors
/// Exit code 2 when the file is missing or is none.
pub(crate) fn read(path: &Path) -> Result<Plan, Failure> {
    let doing = || format!("reading {}", path.display());
    let long = std::fs::metadata(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?
        .len();
    if long > MAX_PLAN_BYTES as u64 {
        return Err(Failure::usage(format!(
            "{} has {long} bytes, a plan has at most {MAX_PLAN_BYTES}",
            path.display()
        )));
    }
    let bytes = std::fs::read(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?;
    let mut plan = Plan::parse(&bytes)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?;
    // Candidates are for reports; a board's manifest needs the ranges only.
    plan.candidates.clear();
    Ok(plan)
}

/// How a plan encodes what crosses, cut by cut.
pub(crate) fn codecs(plan: &Plan) -> Vec<BTreeMap<String, manifest::Codec>> {
    let of = |planned: &PlannedCut| {
        let entry = |(value, name): (&String, &String)| {
            let codec = manifest::Codec {
                name: name.clone(),
                table: planned.tables.get(value).cloned(),
                coarser: None,
            };
            (value.clone(), codec)
        };
        planned.codecs.iter().map(entry).collect()
    };
    plan.cuts.iter().map(of).collect()
}

/// The cuts of a plan for this model; none where one machine runs all of it.
///
/// # Errors
/// When the plan is for another model, or a cut is not legal.
pub(crate) fn cuts(plan: &Plan, model: &Model, graph: &Graph) -> Result<Vec<Cut>, Failure> {
    let digest = model.digest().or_exit(Exit::ModelRefused)?;
    match &plan.model {
        Some(planned) if planned.sha256 == digest => {}
        Some(planned) => {
            return Err(Failure::usage(format!(
                "the plan is for model {} with SHA-256 {}, this one has {digest}",
                planned.name, planned.sha256
            )));
        }
        None => return Err(Failure::usage("the plan was made from tables alone and names no model")),
    }
    if plan.placement == Placement::CloudPhoto {
        log::warn!(
            "the plan sends photos as they come: run this one-part bundle in the cloud and publish them to its input topic"
        );
        return Ok(Vec::new());
    }
    let cutter = Cutter::new(graph);
    let cut = |names: &Vec<String>| {
        let values = find_values(graph, names)?;
        // Graph inputs that a later part needs cross by themselves, unless there is nothing else to cut at.
        let made: Vec<_> = values
            .iter()
            .copied()
            .filter(|v| graph.value(*v).producer().is_some())
            .collect();
        let at = if made.is_empty() { values } else { made };
        cutter.cut(&at).map_err(Failure::from)
    };
    plan.cuts.iter().map(|planned| cut(&planned.values)).collect()
}
