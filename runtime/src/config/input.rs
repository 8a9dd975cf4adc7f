//! `[input]`: where a first part takes its inputs from.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::exit::Failure;

/// Most pictures a second: no camera gives more.
const MAX_FRAMES_PER_S: f32 = 1000.0;

/// `[input]`: files, a watched folder, messages or a camera: one of them.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Input of part 0")]
pub struct InputConfig {
    /// Image or tensor files, or folders of them
    #[arg(
        id = "input-files",
        long = "input",
        value_name = "PATH",
        num_args = 1..,
        conflicts_with = "stage-source"
    )]
    pub files: Vec<PathBuf>,
    /// A folder, which must be there: files are taken as they appear in it, and then moved to its `done`
    #[arg(
        id = "input-watch",
        long = "watch",
        env = "KERF_WATCH",
        value_name = "DIR",
        conflicts_with_all = ["input-files", "stage-source"]
    )]
    pub watch: Option<PathBuf>,
    /// Remove watched files instead of moving them
    #[arg(id = "input-watch-remove", long = "watch-remove", env = "KERF_WATCH_REMOVE")]
    pub watch_remove: bool,
    /// The topic PREFIX/DEVICE/input: images, .npy, .npz; answered on PREFIX/DEVICE/result and on the message's response topic
    #[arg(
        id = "input-messages",
        long = "messages",
        env = "KERF_MESSAGES",
        conflicts_with_all = ["input-files", "stage-source", "input-watch"]
    )]
    pub messages: bool,
    /// Film: /dev/video0, rtsp://…, a video, or lavfi:SPEC; needs the program ffmpeg. Other processes can read this
    /// argument: give a URL with a password in the environment
    #[arg(
        id = "input-camera",
        long = "camera",
        env = "KERF_CAMERA",
        hide_env_values = true,
        value_name = "SOURCE",
        conflicts_with_all = ["input-files", "stage-source", "input-watch", "input-messages"]
    )]
    pub camera: Option<String>,
    /// Pictures a second [default: the camera's own]
    #[arg(
        id = "input-camera-fps",
        long = "camera-fps",
        env = "KERF_CAMERA_FPS",
        value_name = "RATE"
    )]
    pub camera_fps: Option<f32>,
    /// Take every picture, however late, instead of the newest only
    #[arg(id = "input-camera-every", long = "camera-every", env = "KERF_CAMERA_EVERY")]
    pub camera_every: bool,
}

impl InputConfig {
    /// How many kinds of inputs it names.
    fn kinds(&self) -> usize {
        let named = [
            !self.files.is_empty(),
            self.watch.is_some(),
            self.messages,
            self.camera.is_some(),
        ];
        named.into_iter().filter(|is_named| *is_named).count()
    }

    /// Whether it says where inputs come from.
    pub(super) fn is_named(&self) -> bool {
        self.kinds() > 0
    }

    /// Who names another kind of inputs wants nothing of the file's; how they are taken may be said on top of it.
    pub(super) fn over(self, file: Self) -> Self {
        if self.is_named() {
            return self;
        }
        Self {
            watch_remove: self.watch_remove || file.watch_remove,
            camera_fps: self.camera_fps.or(file.camera_fps),
            camera_every: self.camera_every || file.camera_every,
            ..file
        }
    }

    pub(super) fn check(&self, has_source: bool) -> Result<(), Failure> {
        if self.kinds() + usize::from(has_source) > 1 {
            return Err(Failure::usage(
                "inputs come from one place: expected one of stage source, input files, watch, messages and camera",
            ));
        }
        if self.watch_remove && self.watch.is_none() {
            return Err(Failure::usage("input watch_remove: it needs watch"));
        }
        let rate = self.camera_fps;
        if self.camera.is_none() && (rate.is_some() || self.camera_every) {
            return Err(Failure::usage("input camera_fps and camera_every: they need camera"));
        }
        if rate.is_some_and(|rate| !(rate > 0.0 && rate <= MAX_FRAMES_PER_S)) {
            return Err(Failure::usage(format!(
                "input camera_fps: expected above 0 and at most {MAX_FRAMES_PER_S}, got {}",
                rate.unwrap_or_default()
            )));
        }
        Ok(())
    }
}
