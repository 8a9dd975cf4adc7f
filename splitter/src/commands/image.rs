//! How an image becomes the model's input, as flags or as a file: the same settings wherever they are asked for.

use std::path::{Path, PathBuf};

use kerf_wire::manifest::{Axis, Colour, Crop, Layout, Preprocess, Resize};

use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::Graph;

/// Image settings. Size, channels and layout come from the model's input where they are not given.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Images")]
pub struct ImageArgs {
    /// All image settings from a TOML or JSON file, as they stand in a manifest.
    #[arg(long, value_name = "FILE")]
    pub preprocess: Option<PathBuf>,
    /// Take images: rgb, bgr or grey.
    #[arg(long, value_name = "COLOUR", value_parser = parse_colour)]
    pub colour: Option<Colour>,
    /// nearest, bilinear, bicubic or lanczos; bilinear unless given.
    #[arg(long, value_name = "METHOD", value_parser = parse_resize)]
    pub resize: Option<Resize>,
    /// stretch, centre:FRACTION of the short side, or letterbox:FILL; stretch unless given.
    #[arg(long, value_name = "HOW", value_parser = parse_crop)]
    pub crop: Option<Crop>,
    /// Subtracted from each channel (0…255): one number, or one a channel with commas.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub mean: Vec<f32>,
    /// Divides each channel after the mean: one number, or one a channel with commas.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub scale: Vec<f32>,
    /// Order of the tensor's axes: nchw or nhwc.
    #[arg(long, value_name = "ORDER", value_parser = parse_layout)]
    pub axes: Option<Layout>,
    /// Width and height, e.g. 224x224.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<(u32, u32)>,
}

impl ImageArgs {
    /// True when nothing of it was given.
    pub fn is_empty(&self) -> bool {
        self.preprocess.is_none()
            && self.colour.is_none()
            && self.resize.is_none()
            && self.crop.is_none()
            && self.mean.is_empty()
            && self.scale.is_empty()
            && self.axes.is_none()
            && self.size.is_none()
    }

    /// The settings for this model; none where nothing was given.
    ///
    /// # Errors
    /// When the file does not read, or the model's first input is no image.
    pub fn settings(&self, graph: &Graph) -> Result<Option<Preprocess>, Failure> {
        if self.is_empty() {
            return Ok(None);
        }
        self.for_images(graph).map(Some)
    }

    /// The settings for this model where images are at hand: what was not given is taken from the model's input.
    ///
    /// # Errors
    /// As [`ImageArgs::settings`].
    pub fn for_images(&self, graph: &Graph) -> Result<Preprocess, Failure> {
        if let Some(file) = &self.preprocess {
            return read(file);
        }
        let input = graph.inputs().first().map(|id| graph.value(*id));
        let Some(input) = input else {
            return Err(Failure::usage("the model has no input that an image could become"));
        };
        let shape = ImageShape::of(input.shape.as_deref(), self.axes).or(self.axes.map(|layout| ImageShape {
            size: None,
            colour: Colour::Rgb,
            layout,
        }));
        let name = &input.name;
        let shape =
            shape.ok_or_else(|| Failure::usage(format!("input {name:?} is no image: give --axes and --size")))?;
        self.filled(name, &shape)
    }

    fn filled(&self, input: &str, shape: &ImageShape) -> Result<Preprocess, Failure> {
        let size = self.size.or(shape.size);
        let (width, height) =
            size.ok_or_else(|| Failure::usage(format!("input {input:?} has no fixed size: give --size WxH")))?;
        let or_one = |numbers: &Vec<f32>, otherwise: f32| {
            if numbers.is_empty() {
                vec![otherwise]
            } else {
                numbers.clone()
            }
        };
        Ok(Preprocess {
            input: input.to_owned(),
            colour: self.colour.unwrap_or(shape.colour),
            resize: self.resize.unwrap_or(Resize::Bilinear),
            crop: self.crop.unwrap_or(Crop::Stretch),
            width,
            height,
            mean: or_one(&self.mean, 0.0),
            scale: or_one(&self.scale, 1.0),
            layout: shape.layout,
        })
    }

    /// The settings for no model in particular: the size must be given, colours are rgb and the layout nchw unless said.
    ///
    /// # Errors
    /// When the file does not read, or the size is missing.
    pub fn alone(&self) -> Result<Preprocess, Failure> {
        if let Some(file) = &self.preprocess {
            return read(file);
        }
        if self.size.is_none() {
            return Err(Failure::usage("without a model give --size WxH"));
        }
        let shape = ImageShape {
            size: None,
            colour: Colour::Rgb,
            layout: self.axes.unwrap_or(Layout::Nchw),
        };
        self.filled("input", &shape)
    }
}

fn read(file: &Path) -> Result<Preprocess, Failure> {
    let text = std::fs::read_to_string(file).or_exit(Exit::Usage);
    let text = text.map_err(|e| e.context(format!("reading {}", file.display())))?;
    let settings = match file.extension().and_then(|e| e.to_str()) {
        Some("json") => serde_json::from_str(&text).or_exit(Exit::Usage),
        _ => toml::from_str(&text).or_exit(Exit::Usage),
    };
    settings.map_err(|e| e.context(format!("reading {}", file.display())))
}

/// What a model's input shape says of the image.
struct ImageShape {
    size: Option<(u32, u32)>,
    colour: Colour,
    layout: Layout,
}

impl ImageShape {
    /// `[N, C, H, W]` or `[N, H, W, C]` with C of 1 or 3.
    fn of(shape: Option<&[Axis]>, layout: Option<Layout>) -> Option<Self> {
        let [_, a, b, c] = shape? else { return None };
        let number = |axis: &Axis| match axis {
            Axis::Fixed(n) => Some(*n),
            Axis::Symbol(_) => None,
        };
        let is_channels = |axis: &Axis| matches!(number(axis), Some(1 | 3));
        let layout = match layout {
            Some(layout) => layout,
            None if is_channels(a) => Layout::Nchw,
            None if is_channels(c) => Layout::Nhwc,
            None => return None,
        };
        let (channels, height, width) = match layout {
            Layout::Nchw => (a, b, c),
            Layout::Nhwc => (c, a, b),
        };
        Some(Self {
            size: number(width).zip(number(height)),
            colour: if number(channels) == Some(1) {
                Colour::Grey
            } else {
                Colour::Rgb
            },
            layout,
        })
    }
}

/// Reads a lower-case name as the manifest's own type does.
fn named<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_lowercase())).map_err(|_| format!("expected {known}"))
}

fn parse_colour(text: &str) -> Result<Colour, String> {
    let text = if text.eq_ignore_ascii_case("gray") {
        "grey"
    } else {
        text
    };
    named(text, "rgb, bgr or grey")
}

fn parse_resize(text: &str) -> Result<Resize, String> {
    named(text, "nearest, bilinear, bicubic or lanczos")
}

fn parse_layout(text: &str) -> Result<Layout, String> {
    named(text, "nchw or nhwc")
}

fn parse_crop(text: &str) -> Result<Crop, String> {
    let wrong = || "expected stretch, centre:FRACTION or letterbox:FILL".to_owned();
    let (kind, number) = text.split_once(':').map_or((text, None), |(k, n)| (k, Some(n)));
    match (kind, number) {
        ("stretch", None) => Ok(Crop::Stretch),
        ("centre" | "center", number) => {
            let fraction: f64 = number.unwrap_or("1").parse().map_err(|_| wrong())?;
            if fraction > 0.0 && fraction <= 1.0 {
                Ok(Crop::Centre { fraction })
            } else {
                Err("the fraction is above 0 and at most 1".to_owned())
            }
        }
        ("letterbox", number) => Ok(Crop::Letterbox {
            fill: number.unwrap_or("0").parse().map_err(|_| wrong())?,
        }),
        _ => Err(wrong()),
    }
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "expected WIDTHxHEIGHT, e.g. 224x224".to_owned();
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    Ok((
        width.parse().map_err(|_| wrong())?,
        height.parse().map_err(|_| wrong())?,
    ))
}
