//! Runs every split of a model for real, both parts on this machine or the tail elsewhere.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::measure::{self, milliseconds};
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::frame::Frame;
use kerf_wire::{CutId, DeviceId, Digest, FrameBuilder, FrameId, Hop};

use super::elsewhere::{self, Cloud};
use super::{FORMAT, Row, Sweep, Way};
use crate::cut::{Cut, Cutter};
use crate::emit::{self, BundleOptions};
use crate::graph::Graph;
use crate::onnx::Model;

/// What is swept, and how.
pub struct SweepJob<'a> {
    /// The model as it was read.
    pub model: &'a Model,
    /// Its file.
    pub file: &'a Path,
    /// Its graph.
    pub graph: &'a Graph,
    /// The backend of both parts.
    pub backend: &'a str,
    /// Repetitions of every split.
    pub repetitions: u32,
    /// Milliseconds that a frame of so many bytes takes on the link.
    pub network_ms: &'a dyn Fn(u64) -> f64,
    /// Rows that an earlier, interrupted sweep of the same model left.
    pub before: Vec<Row>,
    /// Where tails and the whole model run; here where none.
    pub cloud: Option<&'a dyn Cloud>,
}

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why:#}")]
pub struct SweepError {
    /// The value that was cut at, or the whole model.
    pub what: String,
    /// The cause.
    pub why: anyhow::Error,
}

/// Sweeps; `done` gets the table after each way, with how many are done of how many, and may keep it against interruption.
///
/// A cut that cannot be run is a note of the table and no end of the sweep.
///
/// # Errors
/// When the whole model cannot be run, or `done` fails.
pub fn sweep(
    job: &SweepJob<'_>,
    mut done: impl FnMut(&Sweep, usize, usize) -> anyhow::Result<()>,
) -> Result<Sweep, SweepError> {
    let whole = |why: anyhow::Error| SweepError {
        what: "the whole model".into(),
        why,
    };
    let mut table = Sweep {
        format: FORMAT,
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).into(),
        model: job.model.name.clone(),
        sha256: Some(job.model.digest().map_err(|why| whole(why.into()))?),
        notes: Vec::new(),
        rows: job.before.clone(),
    };
    let known: HashSet<String> = table.rows.iter().map(|row| row.value.clone()).collect();
    let cuts = Cutter::new(job.graph).singles();
    let total = cuts.len() + 1;
    if !known.contains("") {
        if let Some(cloud) = job.cloud {
            // Images are pulled and caches filled once; it is told, and no row.
            table.notes.push(elsewhere::first_call(job, cloud).map_err(whole)?);
        }
        table.rows.extend(run_whole(job).map_err(whole)?);
        done(&table, 1, total).map_err(whole)?;
    }
    for (index, cut) in cuts.into_iter().enumerate() {
        let name = cut.names(job.graph).join(" + ");
        if known.contains(&name) {
            continue;
        }
        match run_split(job, cut, &name) {
            Ok(rows) => table.rows.extend(rows),
            Err(why) => table.notes.push(format!("cut at {name}: {why:#}")),
        }
        done(&table, index + 2, total).map_err(|why| SweepError { what: name, why })?;
    }
    Ok(table)
}

pub(super) fn random_input(step: &Step) -> anyhow::Result<Input> {
    let tensors = measure::random_inputs(step.inputs(), 1)?;
    Ok(Input {
        label: "seed 1".into(),
        tensors: step
            .inputs()
            .iter()
            .map(|spec| spec.name.to_string())
            .zip(tensors)
            .collect(),
    })
}

/// The whole model, taken as the device's and as the cloud's: both are this machine.
fn run_whole(job: &SweepJob<'_>) -> anyhow::Result<Vec<Row>> {
    let artifact = open_model(job.file)?;
    let mut step = Step::of_model(&artifact, &[job.backend.to_owned()], &LoadOptions::default())?;
    let input = random_input(&step)?;
    let bytes: u64 = input.tensors.iter().map(|(_, t)| t.bytes().len() as u64).sum();
    step.run(&input)?;
    let mut rows = Vec::new();
    for repetition in 0..job.repetitions {
        let run_ms = milliseconds(step.run(&input)?.run);
        let mut edge = Row::new(Way::Edge, "", repetition);
        edge.head_ms = run_ms;
        let mut cloud = Row::new(Way::Cloud, "", repetition);
        cloud.elements = elements(&input);
        cloud.payload_bytes = Some(bytes);
        if let Some(there) = job.cloud {
            elsewhere::run_whole(there, &input, &mut cloud)?;
        } else {
            cloud.tail_ms = run_ms;
            cloud.network_ms = (job.network_ms)(bytes);
        }
        rows.extend([edge, cloud]);
    }
    Ok(rows)
}

fn run_split(job: &SweepJob<'_>, cut: Cut, name: &str) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bundle");
    let (op, params) = maker(job.graph, &cut);
    emit::bundle(job.model, job.graph, vec![cut], &BundleOptions::default(), &path)?;
    let bundle = Bundle::open(&path)?;
    let backends = [job.backend.to_owned()];
    if let Some(cloud) = job.cloud {
        return elsewhere::run_split(job, cloud, &bundle, &elsewhere::template(name, op, params));
    }
    let mut head = Step::load(&bundle, 0, &backends, &LoadOptions::default())?;
    let mut tail = Step::load(&bundle, 1, &backends, &LoadOptions::default())?;
    let input = random_input(&head)?;
    let mut rows = Vec::new();
    // The first pair warms up and does not count.
    for repetition in 0..=job.repetitions {
        let mut row = run_pair(&mut head, &mut tail, &input)?;
        row.network_ms = (job.network_ms)(row.payload_bytes.unwrap_or(0));
        name.clone_into(&mut row.value);
        row.op.clone_from(&op);
        row.params = params;
        if let Some(repetition) = repetition.checked_sub(1) {
            row.repetition = repetition;
            rows.push(row);
        }
    }
    Ok(rows)
}

fn run_pair(head: &mut Step, tail: &mut Step, input: &Input) -> anyhow::Result<Row> {
    let mut row = Row::new(Way::Split, "", 0);
    let leaving = head.run(input)?;
    row.head_ms = milliseconds(leaving.run);
    let names: Vec<String> = leaving.values.iter().map(|(name, _)| (*name).to_owned()).collect();
    let start = Instant::now();
    let mut builder = FrameBuilder::new();
    for (_, tensor) in &leaving.values {
        builder.push_raw(tensor)?;
    }
    let id = FrameId {
        device: DeviceId::new("sweep")?,
        boot: 0,
        sequence: 0,
    };
    let frame = builder.seal(id, Digest([0; 32]), CutId([0; 16]), &[Hop::default()])?;
    row.save_ms = milliseconds(start.elapsed());
    row.payload_bytes = Some(frame.len() as u64);
    let start = Instant::now();
    let frame = Frame::parse(frame)?;
    let mut tensors = Vec::new();
    for (name, (header, payload)) in names.into_iter().zip(frame.tensors()) {
        let view = header
            .view(payload)?
            .ok_or_else(|| anyhow::anyhow!("{name} is not raw"))?;
        tensors.push((name, Tensor::copy_of(view)?));
    }
    row.load_ms = milliseconds(start.elapsed());
    let input = Input {
        label: input.label.clone(),
        tensors,
    };
    row.elements = elements(&input);
    row.tail_ms = milliseconds(tail.run(&input)?.run);
    Ok(row)
}

fn elements(input: &Input) -> u64 {
    let count = |t: &Tensor| t.shape().iter().map(|dim| u64::from(*dim)).product::<u64>();
    input.tensors.iter().map(|(_, t)| count(t)).sum()
}

fn maker(graph: &Graph, cut: &Cut) -> (Option<String>, Option<u64>) {
    let node = cut.at().first().and_then(|v| graph.value(*v).producer());
    node.map_or((None, None), |id| {
        let node = graph.node(id);
        (Some(node.op.clone()), Some(node.params))
    })
}
