//! Where inputs come from, and whom to tell of their answers.
//!
//! Owns: the choice between files, a watched folder and messages. Must not know: what becomes of an input.

use std::collections::VecDeque;

use kerf_runtime::broker::Broker;
use kerf_runtime::exit::Failure;
use kerf_runtime::source::camera::{Camera, CameraConfig};
use kerf_runtime::source::files::Files;
use kerf_runtime::source::messages::Messages;
use kerf_runtime::source::watch::{Afterwards, Watch};
use kerf_runtime::source::{Answers, Input, Reader, Source, SourceError};
use kerf_runtime::stage::head::Answer;

use super::Stage;

impl Stage {
    /// Where inputs come from, and whom to tell of their answers where somebody asked.
    pub(super) fn source(&self) -> Result<(Box<dyn Source>, Option<Answers>), Failure> {
        let input = &self.config.input;
        let reader = || Reader::of_bundle(&self.bundle, self.index);
        if input.messages {
            let mut broker = self.links.connect_for("input")?;
            broker.subscribe(&self.links.topics.input(&self.links.device))?;
            let (messages, answers) = Messages::new(Box::new(broker), reader()?);
            return Ok((Box::new(messages), Some(answers)));
        }
        if let Some(dir) = &input.watch {
            let afterwards = if input.watch_remove {
                Afterwards::Remove
            } else {
                Afterwards::Keep
            };
            let (watch, answers) = Watch::open(dir, reader()?, afterwards)?;
            return Ok((Box::new(watch), Some(answers)));
        }
        if let Some(source) = &input.camera {
            let camera = CameraConfig {
                source: source.clone(),
                frames_per_s: input.camera_fps,
                every: input.camera_every,
            };
            return Ok((Box::new(Camera::open(camera, reader()?)?), None));
        }
        let paths = match &self.config.stage.source {
            Some(path) => std::slice::from_ref(path),
            None => &input.files,
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
