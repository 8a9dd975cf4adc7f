//! `kerf input`: images or arrays as a model's input, in a file.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use kerf_runtime::source::{Input, npy, npz};
use kerf_runtime::tensor::Tensor;
use kerf_wire::TensorRef;
use kerf_wire::manifest::Axis;
use prost::Message as _;

use super::data::{Samples, files};
use super::{ImageArgs, print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::shapes::Symbols;
use crate::onnx::ElementType;
use crate::onnx::proto::TensorProto;

/// Turn an image, or a folder of images as one batch, into the tensor that a model takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf input photo.jpg --like model.onnx --mean 127 --scale 128 --crop centre:0.875 --resize bicubic -o input.npz\n  \
    kerf input digit.png --size 32x32 --colour grey --axes nchw --scale 255 -o input.npy\n  \
    kerf input photos/ --like model.onnx -o batch.npz             all images of the folder as one batch\n  \
    kerf input input.npz --like model.onnx -o input_0.pb          an array as ONNX's own TensorProto\n\n\
    The same settings given to `kerf split` go into the bundle, so that the board does the very same.")]
pub struct Args {
    /// An image, .npy or .npz, or a folder of them.
    pub from: PathBuf,
    /// Shape, layout and name of the input from this model.
    #[arg(long, value_name = "MODEL")]
    pub like: Option<PathBuf>,
    /// The file to write: .npz, .npy or .pb (TensorProto).
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The form, where the file's ending does not say it.
    #[arg(long, value_enum)]
    pub format: Option<Form>,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// Forms of tensor files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// NumPy's archive, one array an input.
    Npz,
    /// NumPy's single array.
    Npy,
    /// ONNX's TensorProto.
    Pb,
}

/// Reads, prepares, writes.
///
/// # Errors
/// When the images are missing, do not fit the model, or the settings say too little.
pub fn run(args: &Args) -> Result<(), Failure> {
    let form = form(args)?;
    let paths = files(&args.from)?;
    let count = paths.len();
    let samples = match &args.like {
        Some(model) => Samples::of(paths, model, &args.image)?,
        None => Samples::alone(paths, &args.image)?,
    };
    let mut inputs: Vec<Input> = Vec::with_capacity(count);
    let bar = samples.progress("reading");
    samples.each(&mut |input| {
        bar.inc(1);
        inputs.push(input.clone());
        Ok(())
    })?;
    bar.finish_and_clear();
    let batch = joined(&inputs)?;
    if let Some(model) = &args.like {
        fits(model, &batch)?;
    }
    write(&args.output, form, &batch)?;
    let lines = batch
        .iter()
        .map(|(name, tensor)| format!("{name} {} {:?}\n", tensor.dtype(), tensor.shape()));
    print(&format!("{}\n{}", args.output.display(), lines.collect::<String>()))
}

fn form(args: &Args) -> Result<Form, Failure> {
    let ending = args.output.extension().and_then(|e| e.to_str());
    match (args.format, ending) {
        (Some(form), _) => Ok(form),
        (None, Some("npz")) => Ok(Form::Npz),
        (None, Some("npy")) => Ok(Form::Npy),
        (None, Some("pb")) => Ok(Form::Pb),
        _ => Err(Failure::usage(
            "the file ends with none of .npz, .npy, .pb: give --format",
        )),
    }
}

/// All inputs as one, along the first axis.
fn joined(inputs: &[Input]) -> Result<Vec<(String, Tensor)>, Failure> {
    let [first, ..] = inputs else {
        return Err(Failure::usage("nothing to read"));
    };
    if inputs.len() == 1 {
        return Ok(first.tensors.clone());
    }
    let one = |name: &String, like: &Tensor| {
        let mut shape = like.shape().to_vec();
        let mut bytes = Vec::new();
        let mut rows = 0_u32;
        for input in inputs {
            let tensor = input.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            let fits = tensor.filter(|t| t.dtype() == like.dtype() && t.shape().get(1..) == shape.get(1..));
            let tensor =
                fits.ok_or_else(|| Failure::usage(format!("{}: {name:?} is not shaped like the first", input.label)))?;
            bytes.extend_from_slice(tensor.bytes());
            rows = rows.saturating_add(tensor.shape().first().copied().unwrap_or(1));
        }
        if let Some(batch) = shape.first_mut() {
            *batch = rows;
        }
        let view = TensorRef::new(like.dtype(), &shape, &bytes).or_exit(Exit::Usage)?;
        Ok((name.clone(), Tensor::copy_of(view).or_exit(Exit::Usage)?))
    };
    first.tensors.iter().map(|(name, tensor)| one(name, tensor)).collect()
}

/// A model with a fixed batch takes that many images and no other number.
fn fits(model: &Path, batch: &[(String, Tensor)]) -> Result<(), Failure> {
    let (_, graph) = read_graph(model, &Symbols::new())?;
    for (name, tensor) in batch {
        let value = graph.find(name).map(|id| graph.value(id));
        let first = value.and_then(|v| v.shape.as_ref()).and_then(|axes| axes.first());
        let got = tensor.shape().first().copied().unwrap_or(1);
        if let Some(Axis::Fixed(want)) = first.filter(|axis| !matches!(axis, Axis::Fixed(n) if *n == got)) {
            let text = format!(
                "input {name:?} takes a batch of {want}, these are {got}; give one file, or a model with a free batch"
            );
            return Err(Failure::usage(text));
        }
    }
    Ok(())
}

fn write(path: &Path, form: Form, batch: &[(String, Tensor)]) -> Result<(), Failure> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    match (form, batch) {
        (Form::Npz, _) => {
            let arrays = batch.iter().map(|(name, t)| (name.as_str(), t.view()));
            npz::write(arrays, &mut bytes).or_exit(Exit::Usage)?;
        }
        (Form::Npy, [(_, tensor)]) => npy::write(&tensor.view(), &mut bytes).or_exit(Exit::Usage)?,
        (Form::Pb, [(name, tensor)]) => {
            let proto = TensorProto {
                name: Some(name.clone()),
                data_type: Some(ElementType::Wire(tensor.dtype()).to_onnx()),
                dims: tensor.shape().iter().map(|d| i64::from(*d)).collect(),
                raw_data: Some(tensor.bytes().to_vec().into()),
                ..TensorProto::default()
            };
            bytes.get_mut().extend(proto.encode_to_vec());
        }
        _ => return Err(Failure::usage("several inputs need an .npz")),
    }
    write_whole(path, bytes.get_ref())
}
