//! Where inputs come from, and whom to tell of their answers.
//!
//! Owns: the choice between files, a watched folder and messages. Must not know: what becomes of an input.

use std::collections::VecDeque;

use clap::Args;
use kerf_runtime::broker::Broker;
use kerf_runtime::exit::Failure;
use kerf_runtime::source::camera::{Camera, CameraConfig};
use kerf_runtime::source::files::Files;
use kerf_runtime::source::messages::Messages;
use kerf_runtime::source::watch::{Afterwards, Watch};
use kerf_runtime::source::{Answers, Input, Reader, Source, SourceError};
use kerf_runtime::stage::head::Answer;

use super::{Run, Stage};

/// A camera as the source of a stage.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Camera")]
pub(super) struct CameraArgs {
    /// Film: /dev/video0, rtsp://…, a video, or lavfi:SPEC; needs the program ffmpeg. Other processes can read this
    /// argument: give a URL with a password in the environment
    #[arg(long, env = "KERF_CAMERA", hide_env_values = true, value_name = "SOURCE",
          conflicts_with_all = ["inputs", "stage-source", "watch", "messages"])]
    camera: Option<String>,
    /// Pictures a second [default: the camera's own]
    #[arg(long, env = "KERF_CAMERA_FPS", value_name = "RATE", requires = "camera", value_parser = rate)]
    camera_fps: Option<f32>,
    /// Take every picture, however late, instead of the newest only
    #[arg(long, env = "KERF_CAMERA_EVERY", requires = "camera")]
    camera_every: bool,
}

impl CameraArgs {
    fn config(&self) -> Option<CameraConfig> {
        Some(CameraConfig {
            source: self.camera.clone()?,
            frames_per_s: self.camera_fps,
            every: self.camera_every,
        })
    }
}

/// A rate above 0 and not above what any camera gives.
fn rate(text: &str) -> Result<f32, String> {
    let rate: f32 = text.parse().map_err(|_| "expected a number".to_owned())?;
    let fits = rate > 0.0 && rate <= 1000.0;
    fits.then_some(rate)
        .ok_or_else(|| format!("expected above 0 and at most 1000, got {rate}"))
}

impl Stage {
    /// Where inputs come from, and whom to tell of their answers where somebody asked.
    pub(super) fn source(&self, args: &Run) -> Result<(Box<dyn Source>, Option<Answers>), Failure> {
        let reader = || Reader::of_bundle(&self.bundle, self.index);
        if args.messages {
            let mut broker = self.links.connect_for("input")?;
            broker.subscribe(&self.links.topics.input(&self.links.device))?;
            let (messages, answers) = Messages::new(Box::new(broker), reader()?);
            return Ok((Box::new(messages), Some(answers)));
        }
        if let Some(dir) = &args.watch {
            let afterwards = if args.watch_remove {
                Afterwards::Remove
            } else {
                Afterwards::Keep
            };
            let (watch, answers) = Watch::open(dir, reader()?, afterwards)?;
            return Ok((Box::new(watch), Some(answers)));
        }
        if let Some(camera) = args.camera.config() {
            return Ok((Box::new(Camera::open(camera, reader()?)?), None));
        }
        let paths = match &self.config.stage.source {
            Some(path) if args.inputs.is_empty() => std::slice::from_ref(path),
            _ => &args.inputs,
        };
        if paths.is_empty() {
            return Err(Failure::usage(
                "part 0 takes inputs: --input PATH, --watch DIR, --camera SOURCE or --messages is needed",
            ));
        }
        let mut files = VecDeque::new();
        for path in paths {
            files.push_back(Files::open(path, reader()?)?);
        }
        Ok((Box::new(Chain(files)), None))
    }
}

/// Several sources, one behind the other.
struct Chain(VecDeque<Files>);

impl Source for Chain {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        while let Some(files) = self.0.front_mut() {
            if let Some(input) = files.next()? {
                return Ok(Some(input));
            }
            self.0.pop_front();
        }
        Ok(None)
    }
}

/// Tells whoever asked for this answer.
pub(super) fn tell(asked: Option<&Answers>, answer: &Answer) {
    if let (Some(asked), Some(label)) = (asked, &answer.input) {
        asked.answered(label, &answer.result);
    }
}
