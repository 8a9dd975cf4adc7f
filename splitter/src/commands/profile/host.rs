//! `kerf profile --host`: the profile of another machine, measured there.

use std::path::{Path, PathBuf};

use super::super::{print, read_graph, write_whole};
use super::Args;
use super::show::{layers_table, summary};
use crate::exit::{Exit, Failure};
use crate::graph::shapes::Symbols;
use crate::profile::attribute;
use crate::profile::remote::{Host, RemoteError, profile_there};

/// Which machine.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Another machine")]
pub struct HostArgs {
    /// Measure on this machine, by SSH with keys: the model is copied there, `kerf-stage bench` measures it, the profile comes back.
    #[arg(long, value_name = "USER@HOST", conflicts_with_all = ["link", "sweep"])]
    pub host: Option<String>,
    /// kerf-stage there.
    #[arg(long, default_value = "kerf-stage", requires = "host", value_name = "PATH")]
    pub host_stage: String,
    /// Copy this kerf-stage, built for that machine, there for the time of the measurement.
    #[arg(long, requires = "host", conflicts_with = "host_stage", value_name = "FILE")]
    pub copy_stage: Option<PathBuf>,
    /// A further option of ssh, e.g. --ssh-option=-p2222; repeated.
    #[arg(long, requires = "host", value_name = "OPTION", allow_hyphen_values = true)]
    pub ssh_option: Vec<String>,
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let exit = match &error {
            RemoteError::BadHost(_) | RemoteError::File { .. } => Exit::Usage,
            RemoteError::Model(_) => Exit::ModelRefused,
            _ => Exit::RunFailed,
        };
        Self::new(exit, error)
    }
}

/// Measures there, writes here.
pub(super) fn run(args: &Args, model: &Path, host: &str) -> Result<(), Failure> {
    // What this program refuses is not copied anywhere.
    let (_, graph) = read_graph(model, &Symbols::default())?;
    let mut options: Vec<String> = [
        ("--backend", args.backend.clone()),
        ("--runs", args.runs.to_string()),
        ("--warmup", args.warm_up.to_string()),
        ("--most", args.most.to_string()),
        ("--pause-ms", args.pause_ms.to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    let named = [
        ("--machine", args.machine.clone()),
        ("--threads", args.threads.map(|n| n.to_string())),
    ];
    for (name, value) in named {
        options.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    }
    let there = Host {
        name: host.to_owned(),
        stage: args.host.host_stage.clone(),
        copy_stage: args.host.copy_stage.clone(),
        ssh_options: args.host.ssh_option.clone(),
    };
    let (profile, text) = profile_there(&there, model, &options)?;
    if let Some(path) = &args.output {
        write_whole(path, &text)?;
    }
    let attribution = attribute(&graph, &profile);
    if args.layers {
        print(&layers_table(&graph, &attribution))?;
    }
    print(&summary(&profile, &attribution))
}
