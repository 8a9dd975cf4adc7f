//! What a job costs beside its work, from a sweep in a cluster.

use std::path::Path;

use kerf_wire::profile::Sample;

use crate::exit::{Exit, Failure, OrExit as _};
use crate::profile::sweep::Sweep;

/// Median of what each call of a sweep cost beside transfers and answer, ms; how it was found becomes a note of the plan.
///
/// # Errors
/// When the file is no sweep, or none of its rows is a job.
pub(super) fn start_ms(file: &Path, notes: &mut Vec<String>) -> Result<f64, Failure> {
    let name = file.display().to_string();
    let context = |failure: Failure| failure.context(format!("reading {name}"));
    let bytes = std::fs::read(file).or_exit(Exit::Usage).map_err(context)?;
    let sweep = Sweep::parse(&bytes, &name).or_exit(Exit::Usage).map_err(context)?;
    let starts: Vec<f64> = sweep
        .rows
        .iter()
        .filter_map(|row| match &row.cloud {
            Some(call) => Some(call.overhead_ms()),
            // The reference tool's tables: the pod from its making to its end, the tail's run within it.
            None if row.pod_ms > 0.0 || row.job_ms > 0.0 => Some((row.pod_ms.max(row.job_ms) - row.tail_ms).max(0.0)),
            None => None,
        })
        .collect();
    if starts.is_empty() {
        return Err(Failure::usage(format!("{name} has no row of a job in a cluster")));
    }
    let start = Sample::of(&starts);
    notes.push(format!(
        "a job for each frame: {:.0} ms beside transfers and answer, the median of {} calls ({name})",
        start.median, start.runs
    ));
    Ok(start.median)
}
