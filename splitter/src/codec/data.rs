//! Inputs to fit on, and others to judge on; no file gives both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::DynamicImage;
use kerf_runtime::preprocess::Preprocessor;
use kerf_runtime::source::{Input, Reader, picture};
use kerf_runtime::tensor::Tensor;
use kerf_wire::TensorSpec;
use kerf_wire::manifest::{Crop, Preprocess};

use super::rows::rows;
use crate::exit::{Exit, Failure, OrExit as _};

/// Smallest side of a crop, as a share of the image's shorter side.
const SMALLEST_CROP: f64 = 0.45;
/// Crops to fit on, at most: means and magnitudes change little after these.
const MAX_CALIBRATION: usize = 256;

/// Where inputs come from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// A folder of images or tensor files, or one .npz whose first axis counts the inputs. Every other file (or row) is
    /// fitted on, the rest judges.
    #[arg(long, value_name = "FILE|DIR")]
    pub data: PathBuf,
    /// The right classes: a CSV of file,class. In an .npz they are the array `labels`.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Judge on this many seeded crops and flips of the images.
    #[arg(long, value_name = "NUMBER")]
    pub crops: Option<usize>,
    /// Seed of the crops.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Fit on what would judge, and judge on what would be fitted on.
    #[arg(long)]
    pub swap: bool,
}

/// Inputs with their right class, where it is known.
pub type Labelled = Vec<(Input, Option<usize>)>;

/// What fits and what judges.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// To fit on.
    pub calibration: Labelled,
    /// To judge on.
    pub judge: Labelled,
}

impl Data {
    /// Reads the inputs of a model whose first part takes `specs`.
    ///
    /// # Errors
    /// When a file is missing, does not fit the model, or there are too few.
    pub fn read(args: &DataArgs, specs: &[TensorSpec], preprocess: Option<&Preprocess>) -> Result<Self, Failure> {
        let is_archive = args.data.extension().is_some_and(|e| e == "npz");
        let mut data = if is_archive {
            Self::halves(rows(&args.data, specs)?)
        } else {
            Self::of_files(args, specs, preprocess)?
        };
        if args.swap {
            std::mem::swap(&mut data.calibration, &mut data.judge);
        }
        data.calibration.truncate(MAX_CALIBRATION);
        if data.calibration.is_empty() || data.judge.is_empty() {
            return Err(Failure::usage(format!(
                "{}: at least two inputs are needed, one to fit on and one to judge on",
                args.data.display()
            )));
        }
        Ok(data)
    }

    /// Every other one fits, the rest judges.
    fn halves(all: Labelled) -> Self {
        let mut data = Self::default();
        for (index, input) in all.into_iter().enumerate() {
            let half = if index % 2 == 0 {
                &mut data.calibration
            } else {
                &mut data.judge
            };
            half.push(input);
        }
        data
    }

    fn of_files(args: &DataArgs, specs: &[TensorSpec], preprocess: Option<&Preprocess>) -> Result<Self, Failure> {
        let classes = args
            .labels
            .as_deref()
            .map(read_classes)
            .transpose()?
            .unwrap_or_default();
        let files = list(&args.data)?;
        let mut data = Self::default();
        let mut random = fastrand::Rng::with_seed(args.seed);
        for (index, file) in files.iter().enumerate() {
            let fits = index % 2 == 0;
            let of_its_half = files.len().div_ceil(2).max(1);
            let wanted = args.crops.map(|crops| match fits != args.swap {
                true => crops.min(MAX_CALIBRATION).div_ceil(of_its_half),
                false => crops.div_ceil(of_its_half),
            });
            let class = file.file_name().and_then(|name| classes.get(name.to_str()?)).copied();
            let half = if fits { &mut data.calibration } else { &mut data.judge };
            match wanted {
                Some(count) => {
                    let how = preprocess.ok_or_else(|| {
                        Failure::usage("--crops is for images: give --colour, --mean and --scale or --preprocess")
                    })?;
                    let image = picture::open(file).or_exit(Exit::Usage)?;
                    for number in 0..count {
                        let input = crop(&image, how, specs, &mut random);
                        let label = format!("{}#{number}", file.display());
                        half.push((named(label, how, input?), class));
                    }
                }
                None => half.push((whole(file, specs, preprocess)?, class)),
            }
        }
        Ok(data)
    }
}

fn named(label: String, how: &Preprocess, tensor: Tensor) -> Input {
    Input {
        label,
        tensors: vec![(how.input.clone(), tensor)],
    }
}

fn preprocessor(how: &Preprocess, specs: &[TensorSpec]) -> Result<Preprocessor, Failure> {
    let spec = specs.iter().find(|spec| spec.name == how.input.as_str());
    let spec = spec.ok_or_else(|| Failure::usage(format!("the model has no input {:?}", how.input)))?;
    Preprocessor::new(how, spec).or_exit(Exit::Usage)
}

fn whole(file: &Path, specs: &[TensorSpec], preprocess: Option<&Preprocess>) -> Result<Input, Failure> {
    let label = file.display().to_string();
    let is_picture = file
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|ending| picture::ENDINGS.contains(&ending.to_lowercase().as_str()));
    match (is_picture, preprocess) {
        (true, Some(how)) => {
            let image = picture::open(file).or_exit(Exit::Usage)?;
            let tensor = preprocessor(how, specs)?.apply(&image).or_exit(Exit::Usage)?;
            Ok(named(label, how, tensor))
        }
        (true, None) => Err(Failure::usage(format!(
            "{label} is an image: say how it becomes the model's input, --colour, --mean, --scale or --preprocess"
        ))),
        (false, _) => Reader::of_specs(specs).read(file).or_exit(Exit::Usage),
    }
}

/// A square of a random size and place, half of them flipped, resized to the model's input.
fn crop(
    image: &DynamicImage,
    how: &Preprocess,
    specs: &[TensorSpec],
    random: &mut fastrand::Rng,
) -> Result<Tensor, Failure> {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let side = width.min(height) * (SMALLEST_CROP + (1.0 - SMALLEST_CROP) * random.f64());
    let (x, y) = ((width - side) * random.f64(), (height - side) * random.f64());
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "inside the image"
    )]
    let [x, y, side] = [x, y, side.max(1.0)].map(|n| n as u32);
    let square = image.crop_imm(x, y, side, side);
    let square = if random.bool() { square.fliph() } else { square };
    let how = Preprocess {
        crop: Crop::Stretch,
        ..how.clone()
    };
    preprocessor(&how, specs)?.apply(&square).or_exit(Exit::Usage)
}

/// The readable files of a folder, by name.
fn list(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(dir).or_exit(Exit::Usage);
    let entries = entries.map_err(|e| e.context(format!("reading {}", dir.display())))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && Reader::takes(path))
        .collect();
    files.sort();
    Ok(files)
}

/// Lines of `file,class`; the first may be a heading.
fn read_classes(file: &Path) -> Result<BTreeMap<String, usize>, Failure> {
    let text = std::fs::read_to_string(file).or_exit(Exit::Usage);
    let text = text.map_err(|e| e.context(format!("reading {}", file.display())))?;
    let mut classes = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let pair = line
            .split_once(',')
            .map(|(name, class)| (name.trim(), class.trim().parse()));
        match pair {
            Some((name, Ok(class))) => {
                classes.insert(name.to_owned(), class);
            }
            _ if index == 0 || line.trim().is_empty() => {}
            _ => {
                let at = format!("{}:{}", file.display(), index + 1);
                return Err(Failure::usage(format!("{at}: expected file,class, got {line:?}")));
            }
        }
    }
    Ok(classes)
}
