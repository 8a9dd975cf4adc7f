//! `kerf codec survey`: bits, speed and accuracy of every codec at a model's best cuts.

use std::path::PathBuf;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::Codec;
use kerf_wire::manifest::Preprocess;

use super::of_cut::of_cut;
use super::report::{csv, images_text, text};
use super::{entry, equal, parse_loss, plot, trial};
use crate::codec::{self, Data, DataArgs, Score, Trial};
use crate::commands::image::ImageArgs;
use crate::commands::{find_values, print, read_graph, write_whole};
use crate::cut::Cutter;
use crate::emit::{self, BundleOptions};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::{Graph, ValueId};
use crate::onnx::Model;

const JPEG: [u8; 3] = [90, 75, 50];
/// A cut is worth a look where each side has at least this share of the work.
const SMALLEST_SIDE: f64 = 0.05;

/// Bits, speed and accuracy of every codec at a model's best cuts, beside JPEG and the textbook's quantiser.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf codec survey model.onnx --data photos --colour rgb --mean 127 --scale 128 --crops 500\n  \
    kerf codec survey model.onnx --data held-out.npz --at /Relu_3_output_0 --csv rows.csv --plot rows.svg\n  \
    kerf codec survey model.onnx --data photos --at block_14_add --decorrelate    what `kerf codec decorrelate` would bring\n  \
    kerf codec survey model.onnx --data photos --cuts 8 --profile device.json    then: kerf plan --edge device.json --codec-loss 0.01\n\n\
    `uniform` is not a codec: it is a uniform quantiser at the entropy of its output, which no coder with one table\n\
    beats. `jpeg` is the image sent whole. Agreement is with the same model on raw tensors.")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// The inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// Look at the cut at this value; repeat it for more cuts.
    #[arg(long, value_name = "VALUE")]
    pub at: Vec<String>,
    /// Without --at: the cuts at this many values that take the fewest bytes raw.
    #[arg(long, default_value_t = 3)]
    pub cuts: usize,
    /// Say which codec is the cheapest whose loss is at most this.
    #[arg(long, default_value = "0.01", value_parser = parse_loss)]
    pub max_loss: f64,
    /// Also judge `dct` on what `kerf codec decorrelate` would make of each value; takes a run a channel for each of 64 inputs.
    #[arg(long)]
    pub decorrelate: bool,
    /// The engine.
    #[arg(long, default_value = "tract")]
    pub backend: String,
    /// All rows as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Enter how many answers each codec changes into this profile of the model (`kerf profile -o`); repeat it for every machine
    /// of a plan. `kerf plan` then takes codecs that change at most --codec-loss of them.
    #[arg(long, value_name = "FILE")]
    pub profile: Vec<PathBuf>,
    /// Bits against loss as an SVG.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// One codec at one cut.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) cut: String,
    pub(super) codec: String,
    pub(super) score: Score,
    /// False for what it is compared with.
    pub(super) is_codec: bool,
    /// The codec itself, with its table where it has one; none for what it is compared with.
    pub(super) used: Option<Codec>,
    /// Bytes that cross raw.
    pub(super) raw_bytes: f64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (model, graph) = read_graph(&args.model, &crate::graph::shapes::Symbols::default())?;
    let preprocess = args.image.settings(&graph)?;
    let backends = [args.backend.clone()];
    let mut whole = Step::of_model(&open_model(&args.model)?, &backends, &LoadOptions::default())?;
    let data = Data::read(&args.data, whole.inputs(), preprocess.as_ref())?;
    let cuts = match args.at.as_slice() {
        [] => best_cuts(&graph, args.cuts)?,
        names => find_values(&graph, names)?,
    };
    let mut rows = Vec::new();
    for cut in cuts {
        let name = graph.value(cut).name.clone();
        log::info!("event=survey cut={name:?}");
        let mut trial = open(&model, &graph, cut, &backends, &data)?;
        let raw_bytes = graph.value(cut).bytes().unwrap_or(0) as f64;
        rows.extend(of_cut(&name, raw_bytes, &mut trial, args.max_loss, args.decorrelate)?);
        print(&text(&name, &rows, args.max_loss))?;
        print(&equal::text(&name, &rows))?;
    }
    if let Some(how) = &preprocess {
        let of_images = images(&mut whole, &data, how)?;
        print(&images_text(&of_images))?;
        rows.extend(of_images);
    }
    for path in &args.profile {
        let entered = entry::enter(path, &model, &rows)?;
        log::info!("event=entered profile={} values={entered}", path.display());
    }
    if let Some(path) = &args.csv {
        write_whole(path, csv(&rows).as_bytes())?;
    }
    if let Some(path) = &args.plot {
        write_whole(path, plot::svg(&rows).as_bytes())?;
    }
    Ok(())
}

/// The parts on both sides of one value, with the data run up to it.
pub(super) fn open(
    model: &Model,
    graph: &Graph,
    at: ValueId,
    backends: &[String],
    data: &Data,
) -> Result<Trial, Failure> {
    let cut = Cutter::new(graph).cut(&[at])?;
    let folder = tempfile::tempdir().or_exit(Exit::DiskFull)?;
    let dir = folder.path().join("bundle");
    emit::bundle(model, graph, vec![cut], &BundleOptions::default(), &dir)?;
    trial(&Bundle::open(&dir)?, 0, backends, data)
}

/// Legal cuts at one value with work on both sides, those with the fewest raw bytes first; of equals the latest, since the
/// cloud then has the least to do.
fn best_cuts(graph: &Graph, count: usize) -> Result<Vec<ValueId>, Failure> {
    let cutter = Cutter::new(graph);
    let macs = |id: crate::graph::NodeId| graph.node(id).macs.unwrap_or(0) as f64;
    let all: f64 = graph.node_ids().map(macs).sum();
    let mut found: Vec<(u64, ValueId)> = Vec::new();
    for value in graph.value_ids() {
        let Ok(cut) = cutter.cut(&[value]) else { continue };
        let before: f64 = graph.node_ids().filter(|id| cut.is_head(*id)).map(macs).sum();
        let share = before / all.max(1.0);
        if let (Some(bytes), true) = (cut.bytes(graph), (SMALLEST_SIDE..=1.0 - SMALLEST_SIDE).contains(&share)) {
            found.push((bytes, value));
        }
    }
    found.sort_by_key(|(bytes, value)| (*bytes, std::cmp::Reverse(*value)));
    found.truncate(count);
    match found.is_empty() {
        true => Err(Failure::new(
            Exit::NoCut,
            anyhow::anyhow!("no legal cut at one value with work on both sides"),
        )),
        false => Ok(found.into_iter().map(|(_, value)| value).collect()),
    }
}

/// The whole model on images as JPEG would bring them.
fn images(whole: &mut Step, data: &Data, how: &Preprocess) -> Result<Vec<Row>, Failure> {
    let mut answers = |input: &Input| -> Result<Option<usize>, Failure> {
        let leaving = whole.run(input)?;
        let Some((_, first)) = leaving.values.first() else {
            return Ok(None);
        };
        Ok(codec::best_class(&Tensor::copy_of(*first).or_exit(Exit::Bug)?))
    };
    let of_images: Vec<Option<usize>> = data
        .judge
        .iter()
        .map(|(input, _)| answers(input))
        .collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for quality in JPEG {
        let (mut bytes, mut agree, mut all) = (0_usize, 0_u32, 0_u32);
        for ((input, _), of_image) in data.judge.iter().zip(&of_images) {
            let Some((_, image)) = input.tensors.iter().find(|(name, _)| *name == how.input) else {
                continue;
            };
            let Some((back, length)) = codec::jpeg(image, how, quality).or_exit(Exit::Bug)? else {
                continue;
            };
            let sent = Input {
                label: input.label.clone(),
                tensors: vec![(how.input.clone(), back)],
            };
            agree += u32::from(*of_image == answers(&sent)?);
            bytes += length;
            all += 1;
        }
        let count = f64::from(all.max(1));
        rows.push(Row {
            cut: "the image".to_owned(),
            codec: format!("(jpeg quality {quality})"),
            score: Score {
                payload_bytes: bytes as f64 / count,
                bits: bytes as f64 * 8.0 / count / f64::from(how.width * how.height) / how.colour.channels() as f64,
                agreement: Some(f64::from(agree) / count),
                ..Score::default()
            },
            is_codec: false,
            used: None,
            raw_bytes: 0.0,
        });
    }
    Ok(rows)
}
