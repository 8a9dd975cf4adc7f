//! The command line: one file a sub-command, each with its arguments and `run`.
//!
//! Owns: arguments, what is printed where. Must not know: how anything is done. Start at [`run`].
//! stdout is data, stderr is log; a sub-command gives a [`Failure`], which has its exit code.

pub mod calibrate;
mod chain;
pub mod cloud;
mod cluster;
pub mod codec;
pub mod convert;
mod data;
pub mod demo;
pub mod doctor;
pub mod exits;
pub mod graph;
mod image;
pub mod import;
pub mod input;
pub mod keys;
pub mod layers;
pub mod manual;
pub mod oscar;
pub mod plan;
pub mod plot;
pub mod predict;
pub mod profile;
pub mod quantize;
pub mod run;
pub mod show;
pub mod sign;
pub mod split;
mod table;
pub mod verify;

pub use chain::Chain;
pub use image::ImageArgs;

use std::io::Write as _;
use std::path::Path;

use crate::exit::{Exit, Failure};
use crate::graph::shapes::Symbols;
use crate::graph::{Graph, ValueId, nearest_names};
use crate::onnx::Model;

/// kerf cuts a neural network where the cut pays, and proves that the parts equal the whole.
#[derive(Debug, clap::Parser)]
#[command(name = "kerf", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands, in the order in which they are needed.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say what this machine can do, what is missing, and the command that gets it.
    Doctor(doctor::Args),
    /// Cut a real network, run both halves in two processes, compare with the whole.
    Demo(demo::Args),
    /// List every value of a model: operator, shape, bytes, parameters, MACs, and whether a cut there is legal.
    Layers(layers::Args),
    /// Draw a model, or the parts of a bundle, as one HTML file, an SVG or a DOT graph.
    Graph(graph::Args),
    /// Turn an image, or a folder of images as one batch, into the tensor that a model takes.
    Input(Box<input::Args>),
    /// Measure what a model costs on this machine.
    Profile(Box<profile::Args>),
    /// Teach a predictor what this machine takes.
    Calibrate(calibrate::Args),
    /// Say what a model would take on a machine where it was never run.
    Predict(predict::Args),
    /// Find the best cut, or that none pays, for a device, a link and a cloud.
    Plan(Box<plan::Args>),
    /// Show plans, sweeps and profiles: a page with sliders, or a picture.
    Plot(plot::Args),
    /// Print exit rate against accuracy of an early exit, and fit its threshold.
    Exits(Box<exits::Args>),
    /// Write a smaller model: int8 weights, int8 throughout, or fp16.
    Quantize(Box<quantize::Args>),
    /// Split a model into parts at values, and write the bundle that stages run.
    Split(split::Args),
    /// Show what a bundle or a model holds.
    Show(show::Args),
    /// Run the whole model and the parts on the same inputs, and compare.
    Verify(verify::Args),
    /// Turn parts into what vendors' runtimes load: TFLite, OpenVINO IR, fp16, compiled blobs.
    Convert(convert::Args),
    /// Fit codecs to what crosses a cut, and see what each costs in accuracy.
    Codec(codec::Args),
    /// Run every part of a bundle in this process, for trying.
    Run(run::Args),
    /// Make and show the keys that sign bundles.
    Keys(keys::Args),
    /// Sign a bundle's manifest; boards with the key's other half take it.
    Sign(sign::Args),
    /// Container images, and descriptions for OSCAR and Kubernetes.
    Cloud(cloud::Args),
    /// Services, inputs, jobs and logs of an OSCAR cluster.
    Oscar(oscar::Args),
    /// Read what DNN ONNX Profiler left on disk: tables, results, logs, split folders.
    Import(import::Args),
    /// Print shell completions.
    Completions(manual::Completions),
    /// Write the manual pages, one a sub-command.
    Man(manual::Man),
}

/// Runs a sub-command.
///
/// # Errors
/// What went wrong, with its exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Doctor(args) => doctor::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Layers(args) => layers::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Input(args) => input::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Exits(args) => exits::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Split(args) => split::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Codec(args) => codec::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Cloud(args) => cloud::run(args),
        Command::Oscar(args) => oscar::run(args),
        Command::Import(args) => import::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}

/// Reads a model and builds its graph; what a person should know of it goes to the log.
pub(crate) fn read_graph(path: &Path, symbols: &Symbols) -> Result<(Model, Graph), Failure> {
    let doing = format!("reading {}", path.display());
    let model = Model::read(path).map_err(|e| Failure::from(e).context(doing.clone()))?;
    let graph = Graph::build(&model, symbols).map_err(|e| Failure::from(e).context(doing))?;
    for warning in graph.warnings() {
        log::warn!("{warning}");
    }
    Ok((model, graph))
}

/// The values of these names; a wrong one ends with exit code 2 and the nearest names.
pub(crate) fn find_values(graph: &Graph, names: &[String]) -> Result<Vec<ValueId>, Failure> {
    names.iter().map(|name| find_value(graph, name)).collect()
}

fn find_value(graph: &Graph, name: &str) -> Result<ValueId, Failure> {
    graph.find(name).ok_or_else(|| {
        let nearest = nearest_names(graph, name, 3);
        let hint = match nearest.as_slice() {
            [] => "`kerf layers MODEL` lists all".to_owned(),
            names => format!("did you mean {}?", names.join(", ")),
        };
        Failure::usage(format!("no value {name:?} in this model; {hint}"))
    })
}

/// A number that stands for a symbolic dimension: `N=1`.
pub(crate) fn parse_symbol(text: &str) -> Result<(String, u64), String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=NUMBER, e.g. N=1")?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    Ok((name.to_owned(), number))
}

/// Writes data to stdout; a reader that went away is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Bug, why)),
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all: under another name beside it, then renamed.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // As any other file that a person makes: the umask says who may read it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(".kerf-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|why| {
        let exit = match why.kind() {
            std::io::ErrorKind::StorageFull => Exit::DiskFull,
            _ => Exit::Usage,
        };
        Failure::new(exit, why).context(format!("writing {}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_holds_together() {
        super::Cli::command().debug_assert();
    }
}
