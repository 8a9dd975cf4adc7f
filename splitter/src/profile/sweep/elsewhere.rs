//! Splits whose tail runs elsewhere: each call is one of another machine's, timed by whoever makes it.
//!
//! Owns: what such a call adds to a row. Must not know: how a call is made.

use std::time::Instant;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::measure::milliseconds;
use kerf_runtime::source::{Input, frame, npz};
use kerf_runtime::stage::front::Front;
use kerf_runtime::step::Step;
use kerf_wire::frame::Frame;

use super::run::random_input;
use super::{Row, SweepJob, Way};
use crate::oscar::timeline::Timeline;

/// The name in the ids of frames that a sweep makes.
const DEVICE: &str = "sweep";

/// Somewhere else that has every tail of the model, and the whole.
pub trait Cloud {
    /// Answers one frame or input, as the bytes of a file with this extension.
    ///
    /// # Errors
    /// When there is no answer.
    fn call(&self, input: &[u8], extension: &str) -> anyhow::Result<CloudCall>;
}

/// One answered call.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudCall {
    /// Reading the frame, there.
    pub decode_ms: f64,
    /// The engine's run, there.
    pub run_ms: f64,
    /// Where the time went.
    pub timeline: Timeline,
}

impl CloudCall {
    fn fill(self, row: &mut Row) {
        let line = self.timeline;
        row.load_ms = self.decode_ms;
        row.tail_ms = self.run_ms;
        row.network_ms = line.upload_ms + line.download_ms;
        // Without a log's times: all but the transfers, the start of the pod included.
        row.job_ms = line.job_ms.unwrap_or(line.total_ms - row.network_ms);
        row.pod_ms = line.pod_ms.unwrap_or(0.0);
        row.cloud = Some(line);
    }
}

/// The first call pays for what the cluster keeps afterwards, above all the image: it is told, and no row.
pub(super) fn first_call(job: &SweepJob<'_>, cloud: &dyn Cloud) -> anyhow::Result<String> {
    let call = cloud.call(&npz_of(&model_input(job)?)?, "npz")?;
    let told = |(name, ms): &(&str, Option<f64>)| ms.map(|ms| format!("{name} {ms:.0}"));
    let sections: Vec<String> = call.timeline.sections().iter().filter_map(told).collect();
    let (total, sections) = (call.timeline.total_ms, sections.join(", "));
    Ok(format!(
        "the first call took {total:.0} ms ({sections}) and is no row: the cluster may have pulled the image"
    ))
}

/// The whole model there, once.
pub(super) fn run_whole(cloud: &dyn Cloud, input: &Input, row: &mut Row) -> anyhow::Result<()> {
    let start = Instant::now();
    let file = npz_of(input)?;
    row.save_ms = milliseconds(start.elapsed());
    row.payload_bytes = Some(file.len() as u64);
    cloud.call(&file, "npz")?.fill(row);
    Ok(())
}

/// The head here, the tail there. The head warms up once; no call does: a job starts anew each time.
pub(super) fn run_split(
    job: &SweepJob<'_>,
    cloud: &dyn Cloud,
    bundle: &Bundle,
    template: &Row,
) -> anyhow::Result<Vec<Row>> {
    let backends = [job.backend.to_owned()];
    let mut head = Front::load(bundle, DEVICE, &backends, &LoadOptions::default())?;
    let input = model_input(job)?;
    head.frame(&input)?;
    let mut rows = Vec::new();
    for repetition in 0..job.repetitions {
        let mut row = Row {
            repetition,
            ..template.clone()
        };
        let start = Instant::now();
        let (frame, hops) = head.frame(&input)?;
        let all = milliseconds(start.elapsed());
        row.head_ms = hops.iter().map(|hop| f64::from(hop.run_us) / 1e3).sum();
        row.save_ms = all - row.head_ms;
        row.payload_bytes = Some(frame.len() as u64);
        let count = |shape: &[u32]| shape.iter().map(|dim| u64::from(*dim)).product::<u64>();
        row.elements = Frame::parse(frame)?
            .header
            .tensors
            .iter()
            .map(|t| count(&t.shape))
            .sum();
        cloud.call(frame, frame::ENDING)?.fill(&mut row);
        rows.push(row);
    }
    Ok(rows)
}

/// A row of a split before it ran.
pub(super) fn template(name: &str, op: Option<String>, params: Option<u64>) -> Row {
    Row {
        op,
        params,
        ..Row::new(Way::Split, name, 0)
    }
}

fn model_input(job: &SweepJob<'_>) -> anyhow::Result<Input> {
    let step = Step::of_model(
        &open_model(job.file)?,
        &[job.backend.to_owned()],
        &LoadOptions::default(),
    )?;
    random_input(&step)
}

fn npz_of(input: &Input) -> anyhow::Result<Vec<u8>> {
    let mut file = std::io::Cursor::new(Vec::new());
    let arrays = input
        .tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.view()));
    npz::write(arrays, &mut file)?;
    Ok(file.into_inner())
}
