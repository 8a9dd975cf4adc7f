//! `kerf graph`: a model or a bundle as a picture.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kerf_runtime::bundle::{Bundle, MANIFEST};

use super::{Chain, parse_symbol, read_graph, write_whole};
use crate::cut::Partition;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::Graph;
use crate::graph::shapes::Symbols;
use crate::page::{self, Drawing};

/// Draw a model, or the parts of a bundle, as one HTML file, an SVG or a DOT graph.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf graph model.onnx -o model.html --open\n  kerf graph model.onnx --at conv3_out -o cut.html\n  \
    kerf graph bundle/ -o bundle.html\n  kerf graph model.onnx -o model.svg --dot model.dot\n  kerf graph model.onnx --netron"
)]
pub struct Args {
    /// The ONNX model, or a bundle's folder.
    pub model: PathBuf,
    /// What to write, by its ending: .html, a self-contained page; .svg; .dot.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Draw these cuts.
    #[command(flatten)]
    pub chain: Chain,
    /// Write an SVG picture.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write a DOT file for Graphviz.
    #[arg(long, value_name = "FILE")]
    pub dot: Option<PathBuf>,
    /// Open the page in the browser.
    #[arg(long, requires = "output")]
    pub open: bool,
    /// Start Netron on the model, where it is installed.
    #[arg(long)]
    pub netron: bool,
    /// Count bytes with this number for a symbolic dimension, e.g. --dim N=8.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
}

/// Draws it.
///
/// # Errors
/// When the model or the bundle is refused, a cut is not legal, or a file cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.output.is_none() && args.svg.is_none() && args.dot.is_none() && !args.netron {
        return Err(Failure::usage(
            "nothing to write: give -o PAGE.html, --svg, --dot or --netron",
        ));
    }
    if args.output.is_some() || args.svg.is_some() || args.dot.is_some() {
        draw(args)?;
    }
    if args.netron {
        netron(&args.model)?;
    }
    Ok(())
}

fn draw(args: &Args) -> Result<(), Failure> {
    let symbols: Symbols = args.dims.iter().cloned().collect();
    let drawing = if args.model.join(MANIFEST).is_file() {
        if !args.chain.0.is_empty() {
            return Err(Failure::usage("--at cuts a model; a bundle is cut already"));
        }
        of_bundle(&args.model, &symbols)?
    } else {
        of_model(&args.model, &symbols, &args.chain)?
    };
    if let Some(path) = &args.dot {
        write(path, &page::dot(&drawing))?;
    }
    if args.output.is_none() && args.svg.is_none() {
        return Ok(());
    }
    let layout = page::layout(&drawing);
    if let Some(path) = &args.svg {
        write(path, &page::svg(&drawing, &layout))?;
    }
    if let Some(path) = &args.output {
        let model = args.model.to_string_lossy();
        let text = match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => page::svg(&drawing, &layout),
            Some("dot") => page::dot(&drawing),
            _ => page::html(&drawing, &layout, &model).or_exit(Exit::Bug)?,
        };
        write(path, &text)?;
        if args.open {
            open(path)?;
        }
    }
    Ok(())
}

fn of_model(path: &Path, symbols: &Symbols, chain: &Chain) -> Result<Drawing, Failure> {
    let (model, graph) = read_graph(path, symbols)?;
    let cuts = chain.cuts(&graph)?;
    let partition = Partition::new(&graph, cuts).or_exit(Exit::NoCut)?;
    Drawing::of_model(&model.name, &graph, &partition.cuts).or_exit(Exit::ModelRefused)
}

fn of_bundle(dir: &Path, symbols: &Symbols) -> Result<Drawing, Failure> {
    let bundle = Bundle::open(dir)?;
    let manifest = bundle.manifest();
    let mut parts: Vec<Graph> = Vec::new();
    for (index, part) in manifest.parts.iter().enumerate() {
        let onnx = part
            .artifacts
            .iter()
            .find(|a| a.format == kerf_wire::manifest::Format::Onnx);
        match onnx {
            Some(artifact) => parts.push(read_graph(&dir.join(&artifact.file), symbols)?.1),
            None if part.artifacts.is_empty() => {}
            None => {
                let text = format!("part {index} of {} has no ONNX file to draw", dir.display());
                return Err(Failure::usage(text));
            }
        }
    }
    let crossing: Vec<String> = manifest
        .cuts
        .iter()
        .flat_map(|cut| cut.values.iter().cloned())
        .collect();
    Drawing::of_parts(&manifest.model.name, &parts, &crossing, &manifest.model.outputs).or_exit(Exit::ModelRefused)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_whole(path, text.as_bytes())?;
    eprintln!("wrote {} ({} KiB)", path.display(), text.len().div_ceil(1024));
    Ok(())
}

fn open(path: &Path) -> Result<(), Failure> {
    let (program, before): (&str, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("cmd", &["/C", "start", ""]),
        _ => ("xdg-open", &[]),
    };
    start(
        Command::new(program).args(before).arg(path),
        &format!("{program} is not installed; open the page by hand"),
    )
}

fn netron(model: &Path) -> Result<(), Failure> {
    let missing = "netron is not installed: `pip install netron`, or draw the model with -o PAGE.html";
    start(Command::new("netron").arg("--browse").arg(model), missing)
}

/// Starts a program and lets it go on by itself.
fn start(command: &mut Command, missing: &str) -> Result<(), Failure> {
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    match started {
        Ok(_) => Ok(()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Err(Failure::usage(missing)),
        Err(why) => {
            Err(Failure::new(Exit::Usage, why).context(format!("starting {}", command.get_program().display())))
        }
    }
}
