//! `kerf run --oscar …`: the parts before the last here, the last as a job in the cloud; one full cycle an input.

use std::path::Path;

use kerf_runtime::bundle::Bundle;
use kerf_runtime::config::BackendConfig;
use kerf_runtime::source::files::Files;
use kerf_runtime::source::{Reader, Source as _, frame};
use kerf_runtime::stage::front::Front;
use serde_json::json;

use crate::commands::cluster::Cluster;
use crate::commands::print;
use crate::exit::{Exit, Failure, OrExit as _};

/// The name in the ids of frames that this command makes.
const DEVICE: &str = "kerf-run";

/// Runs each input and prints the tail's answer, with where the time went.
pub(super) fn run(input: &Path, bundle: &Bundle, backend: &BackendConfig, cluster: &Cluster) -> Result<(), Failure> {
    let mut front = Front::load(bundle, DEVICE, &backend.names, &backend.options())?;
    let mut files = Files::open(input, Reader::of_bundle(bundle, 0)?)?;
    while let Some(input) = files.next()? {
        let (frame, _) = front.frame(&input)?;
        let frame_bytes = frame.len();
        let call = cluster.call(frame, frame::ENDING)?;
        let mut line = serde_json::to_value(&call).or_exit(Exit::Bug)?;
        if let Some(fields) = line.as_object_mut() {
            fields.insert("input".into(), json!(input.label));
            fields.insert("frame_bytes".into(), json!(frame_bytes));
        }
        print(&format!("{line}\n"))?;
    }
    Ok(())
}
