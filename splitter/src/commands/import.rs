//! `kerf import`: what the reference tool left on disk, as our own documents.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kerf_runtime::source::npz;
use kerf_runtime::tensor::Tensor;
use prost::Message as _;

use super::{print, read_graph, write_whole};
use crate::cut::Cut;
use crate::emit::{self, BundleOptions};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::shapes::Symbols;
use crate::import::{self, Halves, Kind, pickle};
use crate::limits::MAX_IMPORTED_BYTES;
use crate::onnx::read_whole;
use crate::profile::sweep::{FORMAT, Row, Sweep, Way};

/// Read what DNN ONNX Profiler left on disk: tables, results, logs, split folders.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf import time_table.csv time_table_avg.csv -o sweep.json     tables become a sweep: kerf plot sweep.json\n  \
    kerf import results.txt output.txt -o run.json                  one run; the pickle is read, never executed\n  \
    kerf import results.txt --tensor head.npz -o run.json           its tensor too, for kerf-stage once\n  \
    kerf import split_3_on_relu_0/ -o bundle                        halves become a bundle, and the whole model again\n  \
    kerf import Model_SplittedModels/ -o bundles                    each folder of halves its own bundle")]
pub struct Args {
    /// Files or folders.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The document, or for split folders the bundle's folder.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Write the tensor of a results.txt or input.txt here.
    #[arg(long, value_name = "FILE.npz")]
    pub tensor: Option<PathBuf>,
    /// The shape of that tensor, where the file holds it flat, e.g. 1,3,160,160.
    #[arg(long, value_name = "DIMS", value_delimiter = ',', requires = "tensor")]
    pub shape: Vec<u32>,
}

/// Imports.
///
/// # Errors
/// When a file is none of the reference tool's, is damaged, or asks for anything but data.
pub fn run(args: &Args) -> Result<(), Failure> {
    let folders = args.paths.iter().filter(|path| path.is_dir()).count();
    if folders == args.paths.len() {
        return folders_to_bundles(args);
    }
    if folders > 0 {
        return Err(Failure::usage("give files, or split folders, not both at once"));
    }
    let mut sweep: Option<Sweep> = None;
    let mut tensor = None;
    for path in &args.paths {
        let read = file(path).map_err(|e| e.context(path.display().to_string()))?;
        tensor = read.tensor.or(tensor);
        match &mut sweep {
            Some(sweep) => append(sweep, read.sweep),
            None => sweep = Some(read.sweep),
        }
    }
    if let Some(path) = &args.tensor {
        let (shape, data) = tensor.ok_or_else(|| Failure::usage("none of the files holds a tensor"))?;
        write_tensor(path, &args.shape, &shape, &data)?;
    }
    let sweep = sweep.ok_or_else(|| Failure::usage("nothing to import"))?;
    write_whole(&args.output, sweep.to_json().or_exit(Exit::Bug)?.as_bytes())?;
    print(&format!(
        "{}: {} rows of {} files\n",
        args.output.display(),
        sweep.rows.len(),
        args.paths.len()
    ))
}

/// What one file held.
struct Imported {
    sweep: Sweep,
    tensor: Option<(Vec<usize>, Vec<f64>)>,
}

fn file(path: &Path) -> Result<Imported, Failure> {
    let length = fs::metadata(path).or_exit(Exit::Usage)?.len();
    if length > MAX_IMPORTED_BYTES {
        return Err(Failure::usage(format!(
            "{length} bytes, at most {MAX_IMPORTED_BYTES} are read"
        )));
    }
    let bytes = fs::read(path).or_exit(Exit::Usage)?;
    let name = path
        .file_stem()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    match import::recognise(&bytes) {
        Some(Kind::Table) => {
            let sweep = Sweep::parse(&bytes, &name).or_exit(Exit::Usage)?;
            Ok(Imported { sweep, tensor: None })
        }
        Some(Kind::Log) => log(&bytes, &name),
        Some(Kind::Pickle) => results(&bytes, &name),
        None => Err(Failure::usage(
            "none of the reference tool's files: no table, log or pickle",
        )),
    }
}

fn log(bytes: &[u8], name: &str) -> Result<Imported, Failure> {
    let line = import::log_line(bytes).or_exit(Exit::Usage)?;
    let mut row = row_of(line.split_layer.as_deref());
    let ms = |seconds: Option<f64>| seconds.unwrap_or(0.0) * 1e3;
    row.head_ms = ms(line.exec_time1);
    row.tail_ms = ms(line.exec_time2);
    row.save_ms = ms(line.tensor_save_time);
    row.load_ms = ms(line.tensor_load_time);
    row.elements = whole(line.tensor_length);
    Ok(Imported {
        sweep: of_row(name, row),
        tensor: None,
    })
}

fn results(bytes: &[u8], name: &str) -> Result<Imported, Failure> {
    let objects = pickle::read(bytes).or_exit(Exit::Usage)?;
    // input.txt is the tensor alone.
    let key = if objects.is_dict() { "result" } else { "" };
    let tensor = objects.tensor(key).ok();
    let mut row = row_of(objects.text("splitLayer"));
    row.head_ms = objects.number("execTime1").unwrap_or(0.0) * 1e3;
    row.save_ms = objects.number("tensorSaveTime").unwrap_or(0.0) * 1e3;
    row.elements = whole(objects.number("tensorLength"));
    Ok(Imported {
        sweep: of_row(name, row),
        tensor,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn whole(number: Option<f64>) -> u64 {
    number.unwrap_or(0.0) as u64
}

fn row_of(layer: Option<&str>) -> Row {
    match layer {
        Some(layer) if layer != "NO_SPLIT" => Row::new(Way::Split, layer, 0),
        _ => Row::new(Way::Edge, "", 0),
    }
}

fn of_row(name: &str, row: Row) -> Sweep {
    Sweep {
        format: FORMAT,
        tool: "reference tool".to_owned(),
        model: name.to_owned(),
        sha256: None,
        notes: Vec::new(),
        rows: vec![row],
    }
}

/// The rows of another file, as further repetitions. A result and the log of the same run are one row.
fn append(sweep: &mut Sweep, more: Sweep) {
    if let ([row], [other]) = (sweep.rows.as_mut_slice(), more.rows.as_slice())
        && row.value == other.value
    {
        // The job's log repeats the head's figures and adds the tail's.
        let take = |own: &mut f64, new: f64| *own = if new > 0.0 { new } else { *own };
        take(&mut row.head_ms, other.head_ms);
        take(&mut row.tail_ms, other.tail_ms);
        take(&mut row.save_ms, other.save_ms);
        take(&mut row.load_ms, other.load_ms);
        row.elements = row.elements.max(other.elements);
        return;
    }
    let next = sweep.rows.iter().map(|row| row.repetition + 1).max().unwrap_or(0);
    sweep.rows.extend(more.rows.into_iter().map(|mut row| {
        row.repetition = row.repetition.saturating_add(next);
        row
    }));
}

fn write_tensor(path: &Path, asked: &[u32], found: &[usize], data: &[f64]) -> Result<(), Failure> {
    let own: Vec<u32> = found.iter().filter_map(|d| u32::try_from(*d).ok()).collect();
    let shape = if asked.is_empty() { own.as_slice() } else { asked };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the reference tool's tensors are 32-bit floats"
    )]
    let floats: Vec<f32> = data.iter().map(|x| *x as f32).collect();
    let tensor = Tensor::from_f32(shape, &floats);
    let tensor = tensor.map_err(|why| Failure::usage(format!("{} elements as {shape:?}: {why}", data.len())))?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    npz::write([("in_0", tensor.view())], &mut bytes).or_exit(Exit::Usage)?;
    write_whole(path, &bytes.into_inner())
}

fn folders_to_bundles(args: &Args) -> Result<(), Failure> {
    let mut splits = Vec::new();
    for path in &args.paths {
        let found = import::halves(path).or_exit(Exit::Usage);
        splits.extend(found.map_err(|e| e.context(path.display().to_string()))?);
    }
    match splits.as_slice() {
        [] => Err(Failure::usage(
            "no first_half.onnx and second_half.onnx, or part1.onnx …, in these folders",
        )),
        [one] => bundle(one, &args.output),
        many => {
            fs::create_dir_all(&args.output).or_exit(Exit::Usage)?;
            many.iter()
                .try_for_each(|split| bundle(split, &args.output.join(&split.name)))
        }
    }
}

/// Joins the parts to the model that they were cut from, and cuts it there again.
fn bundle(split: &Halves, output: &Path) -> Result<(), Failure> {
    let failed = |e: Failure| e.context(split.name.clone());
    let mut parts = Vec::new();
    for path in &split.parts {
        let part = read_whole(path).map_err(|e| failed(Failure::from(e).context(path.display().to_string())))?;
        parts.push(part);
    }
    let (whole, borders) = import::join(parts).or_exit(Exit::ModelRefused).map_err(failed)?;
    let beside = tempfile::tempdir().or_exit(Exit::Bug)?;
    let file = beside.path().join(format!("{}.onnx", split.name));
    fs::write(&file, Bytes::from(whole.encode_to_vec())).or_exit(Exit::DiskFull)?;
    let (model, graph) = read_graph(&file, &Symbols::new()).map_err(failed)?;
    let mut cuts = Vec::new();
    for names in &borders {
        let at: Vec<_> = names.iter().filter_map(|name| graph.find(name)).collect();
        cuts.push(Cut::new(&graph, &at).map_err(|why| failed(Failure::from(why)))?);
    }
    let manifest =
        emit::bundle(&model, &graph, cuts, &BundleOptions::default(), output).map_err(|e| failed(Failure::from(e)))?;
    let whole = output.with_extension("onnx");
    fs::copy(&file, &whole).or_exit(Exit::Usage)?;
    print(&format!(
        "{}\nthe whole model again: {}\n",
        super::show::bundle_text(&manifest, output),
        whole.display()
    ))
}
