//! `--data`: images or tensor files as a model's inputs, one after the other.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use kerf_runtime::bundle::open_model;
use kerf_runtime::preprocess::Preprocessor;
use kerf_runtime::source::{Input, Reader, picture};
use kerf_runtime::step::Step;
use kerf_wire::manifest::{Colour, Layout};
use kerf_wire::{DType, Dim, TensorSpec};

use super::{ImageArgs, read_graph};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::limits::MAX_DATA_FILES;

/// Which files.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// An image, .npy or .npz, or a folder; of a folder with images only these are read.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Use every n-th file only, so that at most this many are read.
    #[arg(long, value_name = "COUNT", requires = "data")]
    pub samples: Option<usize>,
}

/// Files that become inputs of one model.
pub struct Samples {
    paths: Vec<PathBuf>,
    reader: Reader,
    pictures: Option<Preprocessor>,
}

impl DataArgs {
    /// The samples for this model; none where no data was given.
    ///
    /// # Errors
    /// When the files are missing, or the image settings do not fit the model.
    pub fn samples(&self, model: &Path, image: &ImageArgs) -> Result<Option<Samples>, Failure> {
        let Some(data) = &self.data else { return Ok(None) };
        let mut paths = files(data)?;
        if let Some(most) = self.samples.filter(|most| *most > 0 && *most < paths.len()) {
            let step = paths.len().div_ceil(most);
            paths = paths.into_iter().step_by(step).collect();
        }
        Samples::of(paths, model, image).map(Some)
    }
}

/// A file, or the images of a folder, or where it has none its tensor files; sorted by name.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = || format!("reading {}", path.display());
    let entries = std::fs::read_dir(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(failed()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.or_exit(Exit::Usage).map_err(|e| e.context(failed()))?.path();
        if path.is_file() && Reader::takes(&path) {
            paths.push(path);
        }
        if paths.len() > MAX_DATA_FILES {
            return Err(Failure::usage(format!(
                "{}: more than {MAX_DATA_FILES} files",
                failed()
            )));
        }
    }
    if paths.is_empty() {
        return Err(Failure::usage(format!(
            "{}: no image, .npy or .npz file is there",
            failed()
        )));
    }
    // A folder of images often holds arrays of labels too: where there are images, they are the data.
    if paths.iter().any(|path| is_picture(path)) {
        paths.retain(|path| is_picture(path));
    }
    paths.sort();
    Ok(paths)
}

/// True for a file that is an image by its ending.
pub(super) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| picture::ENDINGS.contains(&ending.as_str()))
}

impl Samples {
    /// These files, for this model.
    ///
    /// # Errors
    /// When the image settings do not fit the model.
    pub fn of(paths: Vec<PathBuf>, model: &Path, image: &ImageArgs) -> Result<Self, Failure> {
        let artifact = open_model(model)?;
        let step = Step::of_model(&artifact, &[], &kerf_runtime::backend::LoadOptions::default())?;
        let pictures = if paths.iter().any(|path| is_picture(path)) {
            let (_, graph) = read_graph(model, &std::collections::BTreeMap::new())?;
            let settings = image.for_images(&graph)?;
            let spec = step.inputs().iter().find(|spec| spec.name == settings.input.as_str());
            let spec = spec.ok_or_else(|| Failure::usage(format!("the model has no input {:?}", settings.input)))?;
            Some(Preprocessor::new(&settings, spec).or_exit(Exit::Usage)?)
        } else {
            None
        };
        let reader = Reader::of_specs(step.inputs());
        Ok(Self {
            paths,
            reader,
            pictures,
        })
    }

    /// Images for no model in particular: the settings must say the size.
    ///
    /// # Errors
    /// When a file is no image, or the size is missing.
    pub fn alone(paths: Vec<PathBuf>, image: &ImageArgs) -> Result<Self, Failure> {
        if let Some(other) = paths.iter().find(|path| !is_picture(path)) {
            return Err(Failure::usage(format!(
                "{} is no image: give --like MODEL",
                other.display()
            )));
        }
        let settings = image.alone()?;
        let channels = if settings.colour == Colour::Grey { 1 } else { 3 };
        let dims = match settings.layout {
            Layout::Nchw => [1, channels, settings.height, settings.width],
            Layout::Nhwc => [1, settings.height, settings.width, channels],
        };
        let spec = TensorSpec::new(&settings.input, DType::F32, dims.map(Dim::Fixed)).or_exit(Exit::Usage)?;
        Ok(Self {
            paths,
            reader: Reader::of_specs(std::slice::from_ref(&spec)),
            pictures: Some(Preprocessor::new(&settings, &spec).or_exit(Exit::Usage)?),
        })
    }

    /// How many files.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// True where there is no file.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// A bar on a terminal; nothing elsewhere.
    pub fn progress(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::new(self.paths.len() as u64).with_message(what);
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}");
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    /// Reads one file after the other.
    ///
    /// # Errors
    /// When a file does not fit, or `take` fails.
    pub fn each(&self, take: &mut dyn FnMut(&Input) -> Result<(), Failure>) -> Result<(), Failure> {
        self.paths.iter().try_for_each(|path| take(&self.read(path)?))
    }

    /// The inputs' files, in order.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads one file.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn read(&self, path: &Path) -> Result<Input, Failure> {
        let Some(preprocessor) = self.pictures.as_ref().filter(|_| is_picture(path)) else {
            return Ok(self.reader.read(path)?);
        };
        let tensor = preprocessor.apply(&picture::open(path)?).or_exit(Exit::Usage);
        let tensor = tensor.map_err(|e| e.context(path.display().to_string()))?;
        Ok(Input {
            label: path.display().to_string(),
            tensors: vec![(preprocessor.input().to_owned(), tensor)],
        })
    }
}
