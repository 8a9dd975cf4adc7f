//! `kerf demo`: a real network, cut, its halves in two processes, every answer beside the whole model's.
//!
//! Owns: the order of things, and that nothing is left behind. Must not know: how anything is done.
//! Start at [`run`]. [`example`] is what is run, [`choose`] the cut, [`broker`] the desk's own broker, [`crate::children`]
//! the processes, [`stages`] what they are told and what they answer, [`report`] what a person sees.

mod broker;
mod choose;
mod example;
mod report;
mod stages;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::children::{Children, failure};
use crate::commands::{find_values, read_graph};
use crate::cut::Cut;
use crate::emit::{self, BundleOptions};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::Graph;
use crate::graph::shapes::Symbols;
use crate::onnx::Model;

pub use example::ExampleName;

use broker::DeskBroker;
use example::Example;
use stages::Stages;

/// What to show.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which network.
    pub model: ExampleName,
    /// Pictures instead of the example's own.
    pub pictures: Vec<PathBuf>,
    /// Values to cut at; chosen where none are named.
    pub at: Vec<String>,
    /// The folder with `models/` and `images/`; looked for where none is named.
    pub fixtures: Option<PathBuf>,
}

/// The tail loads its half within this time, on a slow machine too.
const START_MAX: Duration = Duration::from_mins(2);
/// How often a wait looks whether a child has failed.
const LOOK: Duration = Duration::from_millis(100);

/// Cuts, runs both halves in processes of their own, and prints the table and the verdict.
///
/// # Errors
/// When a file is missing, a process fails, or an answer differs from the whole model's.
pub fn run(options: &Options) -> Result<(), Failure> {
    let example = Example::find(options)?;
    let (model, graph) = read_graph(&example.model, &Symbols::default())?;
    let (cut, why) = if options.at.is_empty() {
        choose::choose(&example.model, &graph, &example.pictures)?
    } else {
        let cut = Cut::new(&graph, &find_values(&graph, &options.at)?)?;
        (cut, "it was named with --at".to_owned())
    };
    let children = Children::new("demo").or_exit(Exit::Bug)?;
    let shown = show(&example, &model, &graph, (&cut, &why), &children);
    if shown.is_err() {
        children.wait_if_interrupted();
    }
    shown
}

fn show(
    example: &Example,
    model: &Model,
    graph: &Graph,
    (cut, why): (&Cut, &str),
    children: &Children,
) -> Result<(), Failure> {
    let steps = steps(example.pictures.len());
    steps.set_message("cutting");
    let stages = bundles(example, model, graph, cut, children)?;
    steps.set_message("asking the whole model");
    let whole = stages.whole(children, example, &|| ())?;
    let broker = DeskBroker::start().or_exit(Exit::Bug)?;
    steps.set_message("starting head and tail");
    stages.start_tail(children, &broker)?;
    wait_for_tail(&broker, children)?;
    let parts = stages.head(children, &broker, example, &|| {
        steps.set_message("head → broker → tail");
        steps.inc(1);
    })?;
    steps.finish_and_clear();
    let report = report::Report::new(example, &parts, &whole)?;
    report.print(&report::verdict(graph, cut, why))?;
    report.outcome()
}

/// Writes both bundles: the cut model, and the whole as one part.
fn bundles(example: &Example, model: &Model, graph: &Graph, cut: &Cut, children: &Children) -> Result<Stages, Failure> {
    let options = BundleOptions {
        preprocess: Some(example.preprocess.clone()),
        labels: example.labels.clone(),
        ..BundleOptions::default()
    };
    let folder = |name: &str| children.folder().join(name);
    let write = |cuts: Vec<Cut>, dir: &Path| emit::bundle(model, graph, cuts, &options, dir);
    let (parts, whole) = (folder("bundle"), folder("whole"));
    write(vec![cut.clone()], &parts)?;
    write(Vec::new(), &whole)?;
    Stages::new(parts, whole)
}

fn steps(pictures: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len} {msg} {elapsed}");
    let length = u64::try_from(pictures).unwrap_or(u64::MAX);
    let bar = ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(LOOK);
    bar
}

/// Frames published before the tail subscribed would only arrive when the head sends them again.
fn wait_for_tail(broker: &DeskBroker, children: &Children) -> Result<(), Failure> {
    let started = std::time::Instant::now();
    while !broker.wait_for_subscriber("/frames/", LOOK) {
        if let Some(failed) = children.failed() {
            return Err(failure(&failed));
        }
        if started.elapsed() > START_MAX {
            let log = children.log_tail(stages::TAIL);
            return Err(failure(&format!("the tail was not ready within {START_MAX:?}:\n{log}")));
        }
    }
    Ok(())
}
