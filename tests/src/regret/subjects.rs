//! What is planned: models with their photos, and the device at the near end.

/// The machine at the near end, and what a plan for it may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Device {
    /// How many times as long as this machine it takes.
    pub slower: f64,
    /// Largest error of a crossing tensor that the plan may take (`--codec-error`); its own default where none.
    pub codec_error: Option<f64>,
}

/// What most cells are measured with.
pub const DEVICE: Device = Device {
    slower: 8.0,
    codec_error: None,
};

/// A model and the photo that it is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// A model among the fixtures.
    pub model: &'static str,
    /// A picture among the fixtures.
    pub picture: &'static str,
    /// How a picture becomes the model's input.
    pub image: &'static [&'static str],
}

/// The models of the experiment.
pub const SUBJECTS: [Subject; 4] = [
    Subject {
        model: "lenet5",
        picture: "digits/d007.png",
        image: &["--scale", "255"],
    },
    Subject {
        model: "resnet8_digits",
        picture: "digits/d007.png",
        image: &["--scale", "255"],
    },
    Subject {
        model: "mobilenet_v2_160_dogs",
        picture: "photos/rocket.jpg",
        image: &["--crop", "centre:0.875", "--mean", "127.5", "--scale", "127.5"],
    },
    Subject {
        model: "efficientnet_lite0",
        picture: "photos/rocket.jpg",
        image: &crate::EFFICIENTNET_IMAGE,
    },
];
