//! `kerf oscar invoke`: inputs in, results out, and where the time went.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::print;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::oscar::invoke::Answer;
use crate::oscar::{Client, Service};

/// Longest input, bytes: a frame's own bound.
const MAX_INPUT_BYTES: u64 = kerf_runtime::wire::limits::MAX_MESSAGE_BYTES as u64;

/// Each input is uploaded under a name that no other run uses; its result is found by that name. stdout has one JSON
/// object a line and input: the result and its times.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kerf oscar invoke split-tail head.kf
  kerf oscar invoke split-tail frames/*.kf -o results/
  kerf oscar invoke split-tail head.kf --exposed kerf/v1/frames

Times, ms: upload_ms; wait_ms, of which the stage's own are in the result's `job` (load_ms, run_ms, total_ms) and the
rest is OSCAR's: event, pod start, supervisor; download_ms.")]
pub(super) struct Args {
    /// The service
    service: String,
    /// Frames, images or tensors
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Write each result into this folder, under its input's name and `.json`
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Longest time to wait for one result, seconds
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86400))]
    wait: u64,
    /// Call `/run` and wait for the answer: needs Knative on the cluster
    #[arg(long, conflicts_with = "exposed")]
    sync: bool,
    /// Post to this path of the service's resident container
    #[arg(long, value_name = "PATH")]
    exposed: Option<String>,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let service = client.service(&args.service)?;
    if let Some(folder) = &args.output {
        fs::create_dir_all(folder).or_exit(Exit::Usage)?;
    }
    let mut failed = 0;
    for input in &args.inputs {
        let answer = one(client, &service, args, input)?;
        failed += usize::from(answer.failed);
        report(args, input, &answer)?;
    }
    if failed > 0 {
        let text = format!("{failed} of {} jobs failed; the results say why", args.inputs.len());
        return Err(Failure::new(Exit::RunFailed, anyhow::anyhow!(text)));
    }
    Ok(())
}

fn one(client: &Client, service: &Service, args: &Args, input: &Path) -> Result<Answer, Failure> {
    let doing = format!("reading {}", input.display());
    let length = fs::metadata(input)
        .or_exit(Exit::Usage)
        .map_err(|why| why.context(doing.clone()))?
        .len();
    if length > MAX_INPUT_BYTES {
        let text = format!("{length} bytes are over the limit of {MAX_INPUT_BYTES}");
        return Err(Failure::usage(text).context(doing));
    }
    let bytes = fs::read(input).or_exit(Exit::Usage).map_err(|why| why.context(doing))?;
    let extension = input.extension().unwrap_or_default().to_string_lossy();
    Ok(match &args.exposed {
        Some(path) => client.exposed(service, path, &bytes)?,
        None if args.sync => client.run(service, &bytes)?,
        None => client.invoke(service, &bytes, &extension, Duration::from_secs(args.wait))?,
    })
}

fn report(args: &Args, input: &Path, answer: &Answer) -> Result<(), Failure> {
    // A tail answers JSON; a head or another image's service may answer anything.
    let result: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let line = json!({
        "input": input.display().to_string(),
        "key": answer.key,
        "failed": answer.failed,
        "result_bytes": answer.body.len(),
        "result": result,
        "times": answer.times,
    });
    if let Some(folder) = &args.output {
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let kind = if result.is_some() { "json" } else { "bin" };
        let file = folder.join(format!("{name}.{kind}"));
        let written = tempfile::NamedTempFile::new_in(folder).and_then(|temporary| {
            fs::write(temporary.path(), &answer.body)?;
            temporary.persist(&file).map_err(|why| why.error)
        });
        written
            .or_exit(Exit::Usage)
            .map_err(|why| why.context(format!("writing {}", file.display())))?;
    }
    print(&format!("{line}\n"))
}
