//! The networks that the demo shows, with their pictures.
//!
//! Owns: where the fixtures are and how their pictures become inputs. Must not know: cuts, processes.

use std::fs;
use std::path::{Path, PathBuf};

use kerf_wire::manifest::{Colour, Crop, Layout, Preprocess, Resize};

use super::Options;
use crate::exit::{Exit, Failure, OrExit as _};

/// A network of the demo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ExampleName {
    /// EfficientNet-Lite0, 1,000 classes, six photos.
    #[default]
    #[value(name = "efficientnet_lite0")]
    EfficientnetLite0,
    /// LeNet-5, ten digits.
    #[value(name = "lenet5")]
    Lenet5,
}

/// Digits that are shown of the many that there are.
const DIGITS: usize = 10;

/// A network, its pictures, and how they go in.
pub(super) struct Example {
    pub(super) model: PathBuf,
    pub(super) pictures: Vec<PathBuf>,
    pub(super) preprocess: Preprocess,
    pub(super) labels: Vec<String>,
}

impl Example {
    /// Finds an example's files.
    ///
    /// # Errors
    /// When the fixtures or a picture are missing.
    pub(super) fn find(options: &Options) -> Result<Self, Failure> {
        let fixtures = match &options.fixtures {
            Some(folder) => folder.clone(),
            None => find_fixtures()?,
        };
        let mut example = match options.model {
            ExampleName::EfficientnetLite0 => efficientnet(&fixtures)?,
            ExampleName::Lenet5 => lenet(&fixtures)?,
        };
        if !options.pictures.is_empty() {
            example.pictures.clone_from(&options.pictures);
        }
        let missing = |path: &&PathBuf| !path.is_file();
        match std::iter::once(&example.model).chain(&example.pictures).find(missing) {
            Some(path) => Err(Failure::usage(format!("{} is not there", path.display()))),
            None => Ok(example),
        }
    }
}

/// `tests/fixtures`, in the current folder or one above it, or above the program.
fn find_fixtures() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    let starts = here.iter().chain(&program);
    let mut candidates = starts
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join("tests/fixtures"));
    candidates.find(|folder| folder.is_dir()).ok_or_else(|| {
        Failure::usage(
            "the demo's models are in the repository's tests/fixtures: run it there, or name the folder with --fixtures",
        )
    })
}

/// Trained on ImageNet; input as its authors' evaluation: the centre 224/256 of the short side, bicubic, (x − 127) / 128.
fn efficientnet(fixtures: &Path) -> Result<Example, Failure> {
    let labels = fixtures.join("models/imagenet_labels.txt");
    let labels = fs::read_to_string(&labels)
        .or_exit(Exit::Usage)
        .map_err(|f| f.context(labels.display().to_string()))?;
    Ok(Example {
        model: fixtures.join("models/efficientnet_lite0.onnx"),
        pictures: pictures(&fixtures.join("images/photos"))?,
        preprocess: Preprocess {
            input: "input".to_owned(),
            colour: Colour::Rgb,
            resize: Resize::Bicubic,
            crop: Crop::Centre { fraction: 0.875 },
            width: 224,
            height: 224,
            mean: vec![127.0],
            scale: vec![128.0],
            layout: Layout::Nchw,
        },
        labels: labels.lines().map(str::to_owned).collect(),
    })
}

/// Trained on MNIST digits of 32×32, values ÷ 255.
fn lenet(fixtures: &Path) -> Result<Example, Failure> {
    let mut pictures = pictures(&fixtures.join("images/digits"))?;
    pictures.truncate(DIGITS);
    Ok(Example {
        model: fixtures.join("models/lenet5.onnx"),
        pictures,
        preprocess: Preprocess {
            input: "input".to_owned(),
            colour: Colour::Grey,
            resize: Resize::Bilinear,
            crop: Crop::Stretch,
            width: 32,
            height: 32,
            mean: vec![0.0],
            scale: vec![255.0],
            layout: Layout::Nchw,
        },
        labels: (0..10).map(|digit| digit.to_string()).collect(),
    })
}

/// The pictures of a folder, by name.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |f: Failure| f.context(folder.display().to_string());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).or_exit(Exit::Usage).map_err(failed)? {
        let path = entry.or_exit(Exit::Usage).map_err(failed)?.path();
        if path.extension().is_some_and(|kind| kind == "png" || kind == "jpg") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
