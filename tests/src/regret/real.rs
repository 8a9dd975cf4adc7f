//! A way, run for real: the head here, made slow; the tail in a process of its own; a real broker behind the shaped link.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kerf_runtime::backend::{LoadOptions, RunError};
use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_runtime::broker::topics::Topics;
use kerf_runtime::broker::{Broker, Message};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::result;
use kerf_runtime::source::{Input, Reader, Source, SourceError};
use kerf_runtime::stage::envelope::Envelopes;
use kerf_runtime::stage::head::{self, Answer, HeadConfig, HeadLinks};
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::solo::{self, SoloConfig};
use kerf_runtime::stage::{Border, Part};
use kerf_runtime::step::{Leaving, Step};
use kerf_wire::DeviceId;
use kerf_wire::profile::Sample;
use serde_json::{Value, json};

use super::{Subject, Way};
use crate::process::{PATIENCE, Running};
use crate::{kerf, kerf_stage, lock, model, succeed};

/// Everything travels on the broker.
const INLINE_BYTES: usize = 16 * 1024 * 1024;
/// Waited before each run, as `kerf profile` does: a frame now and then finds caches that others have used.
const PAUSE: Duration = Duration::from_millis(20);
/// Runs before any counts: connections, caches, the engine's first run.
pub(super) const WARM_UP: usize = 2;

/// What a way took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// The middle.
    pub(super) total_ms: f64,
    /// 95 % interval of it.
    pub(super) low_ms: f64,
    pub(super) high_ms: f64,
    /// Of the last run: reading, head, encoding, transfer, decoding, tail.
    pub(super) parts_ms: Vec<f64>,
    pub(super) frame_bytes: usize,
    pub(super) sends_max: u32,
}

/// Where ways run.
pub(super) struct Runner {
    pub(super) subject: Subject,
    /// How many times as long as this machine the device takes.
    pub(super) slower: f64,
    pub(super) picture: PathBuf,
    pub(super) folder: PathBuf,
    /// The broker as the device reaches it, over the shaped link.
    pub(super) near: String,
    /// The broker as the cloud reaches it.
    pub(super) far: String,
}

impl Runner {
    pub(super) fn run(&self, way: &Way, plan: &Value, repeats: usize) -> Measured {
        let bundle = self.bundle(way, plan);
        match way.placement.as_str() {
            "edge-only" => self.edge_only(&bundle, repeats),
            "cloud-photo" => self.cloud_photo(&bundle, repeats),
            _ => self.split(&bundle, repeats),
        }
    }

    /// By `kerf split --plan`, with the plan's cut exchanged for this way's.
    fn bundle(&self, way: &Way, plan: &Value) -> PathBuf {
        let mut plan = plan.clone();
        plan["placement"] = json!(way.placement);
        plan["cuts"] = if way.placement == "edge-only" || way.placement == "cloud-photo" {
            json!([])
        } else {
            json!([{ "values": way.values, "codecs": way.codecs, "payload_bytes": 0 }])
        };
        let (file, bundle) = (self.folder.join("way.json"), self.folder.join("bundle"));
        std::fs::write(&file, plan.to_string()).expect("a file is written");
        let mut split = kerf();
        split
            .arg("split")
            .arg(model(self.subject.model))
            .arg("--plan")
            .arg(file);
        succeed(split.args(self.subject.image).arg("-o").arg(&bundle));
        bundle
    }

    fn edge_only(&self, bundle: &Path, repeats: usize) -> Measured {
        let bundle = Bundle::open(bundle).expect("a bundle");
        let mut part = Slow::load(&bundle, self.slower);
        let config = SoloConfig {
            device: DeviceId::new("device").expect("a name"),
            model: bundle.manifest().model.sha256,
            warnings: Vec::new(),
        };
        let answerer = result::Answer::new(bundle.manifest().labels.clone());
        let mut answers = Vec::new();
        let mut source = self.source(&bundle, repeats);
        solo::run(&mut source, &mut part, &answerer, &config, &mut |answer| {
            answers.push(answer);
        });
        measured(&answers, &source.paused_ms)
    }

    fn split(&self, folder: &Path, repeats: usize) -> Measured {
        let mut tail = kerf_stage();
        tail.args([
            "run",
            "--allow-unsigned",
            "--part",
            "1",
            "--device",
            "cloud",
            "--broker",
            &self.far,
            "--bundle",
        ])
        .arg(folder);
        tail.args(["--inline-bytes", &INLINE_BYTES.to_string()]);
        let mut tail = Running::start(&mut tail);
        tail.wait_for("event=ready");
        let bundle = Bundle::open(folder).expect("a bundle");
        let mut part = Slow::load(&bundle, self.slower);
        let config = HeadConfig {
            device: DeviceId::new("device").expect("a name"),
            topics: Topics::new("kerf").expect("a prefix"),
            onward: Border::behind(bundle.manifest(), 0).expect("a border").expect("a cut"),
            results: true,
            exits: false,
            confirm: kerf_runtime::stage::tail::Confirm::Stage,
            warnings: Vec::new(),
            in_flight: std::num::NonZeroUsize::new(1),
        };
        let mut broker = connect(&self.near);
        head::subscribe(&mut broker, &config).expect("a subscription");
        let links = HeadLinks {
            broker: Box::new(broker),
            keep: Box::new(MemoryKeep::new(u64::MAX, WhenFull::RefuseNew)),
            envelopes: Envelopes::new(None, INLINE_BYTES),
            answerer: Box::new(result::Answer::new(Vec::new())),
            metrics: Arc::default(),
            status: None,
        };
        let answers = std::sync::Mutex::new(Vec::new());
        let mut source = self.source(&bundle, repeats);
        head::run(&mut source, &mut part, links, &config, &mut |answer| {
            lock(&answers).push(answer);
        });
        drop(tail);
        measured(&answers.into_inner().expect("no panic"), &source.paused_ms)
    }

    /// The photo to a stage that has the whole model, by its input topic.
    fn cloud_photo(&self, folder: &Path, repeats: usize) -> Measured {
        let mut cloud = kerf_stage();
        cloud
            .args([
                "run",
                "--allow-unsigned",
                "--device",
                "cloud",
                "--messages",
                "--broker",
                &self.far,
                "--bundle",
            ])
            .arg(folder);
        cloud.args(["--inline-bytes", &INLINE_BYTES.to_string()]);
        let mut cloud = Running::start(&mut cloud);
        cloud.wait_for("event=loaded");
        let mut broker = connect(&self.near);
        broker.subscribe("kerf/asker/answer").expect("a subscription");
        // It has subscribed once it has answered.
        std::thread::sleep(Duration::from_millis(500));
        let photo = std::fs::read(&self.picture).expect("a photo");
        let mut times = Vec::new();
        for run in 0..repeats + WARM_UP {
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            let mut message = Message::new("kerf/cloud/input", photo.clone());
            message.response_topic = Some("kerf/asker/answer".to_owned());
            message.correlation = Some(run.to_le_bytes().to_vec());
            assert!(
                broker.publish(&message, PATIENCE).expect("the broker is there"),
                "it takes the photo"
            );
            let delivery = crate::relay::next_delivery(&mut broker, PATIENCE).expect("an answer");
            times.push(start.elapsed().as_secs_f64() * 1e3);
            broker.ack(delivery.token).expect("an acknowledgement");
        }
        drop(cloud);
        let sample = Sample::of(&times[WARM_UP..]);
        Measured {
            total_ms: sample.median,
            low_ms: sample.low,
            high_ms: sample.high,
            parts_ms: Vec::new(),
            frame_bytes: photo.len(),
            sends_max: 1,
        }
    }

    fn source(&self, bundle: &Bundle, repeats: usize) -> Again {
        Again {
            reader: Reader::of_bundle(bundle, 0).expect("a reader"),
            file: self.picture.clone(),
            left: repeats + WARM_UP,
            slower: self.slower,
            paused_ms: Vec::new(),
        }
    }
}

fn connect(url: &str) -> MqttBroker {
    let mut config = MqttConfig::new(url.parse().expect("a URL"), "device");
    config.packet_bytes_max = 2 * 16 * 1024 * 1024;
    MqttBroker::connect(config).unwrap_or_else(|why| panic!("{why}"))
}

fn measured(answers: &[Answer], paused_ms: &[f64]) -> Measured {
    for answer in answers {
        assert!(answer.result.error.is_none(), "{:?}", answer.result.error);
    }
    let took = answers.iter().zip(paused_ms).skip(WARM_UP);
    let times: Vec<f64> = took
        .filter_map(|(answer, paused)| Some(answer.total_ms? - paused))
        .collect();
    let sample = Sample::of(&times);
    let last = answers.last().expect("answers");
    let mut parts_ms = Vec::new();
    for (index, hop) in last.result.hops.iter().enumerate() {
        if index > 0 {
            parts_ms.push(last.transfer_ms.unwrap_or(0.0));
        }
        parts_ms.extend([hop.decode_ms, hop.run_ms, hop.encode_ms]);
    }
    Measured {
        total_ms: sample.median,
        low_ms: sample.low,
        high_ms: sample.high,
        parts_ms,
        frame_bytes: last.frame_bytes,
        sends_max: answers.iter().map(|answer| answer.sends).max().unwrap_or(0),
    }
}

/// The same picture again and again; reading it takes so many times as long.
struct Again {
    slower: f64,
    reader: Reader,
    file: PathBuf,
    left: usize,
    /// How long each pause was: it is no part of a frame's time.
    paused_ms: Vec<f64>,
}

impl Source for Again {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let start = Instant::now();
        std::thread::sleep(PAUSE);
        self.paused_ms.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let input = self.reader.read(&self.file)?;
        std::thread::sleep(start.elapsed().mul_f64(self.slower - 1.0));
        Ok(Some(input))
    }
}

/// A part whose engine takes so many times as long.
struct Slow(Step, f64);

impl Slow {
    fn load(bundle: &Bundle, slower: f64) -> Self {
        Self(
            Step::load(bundle, 0, &[], &LoadOptions::default()).expect("a part"),
            slower,
        )
    }
}

impl Part for Slow {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        let is_engine = Part::backend(&self.0).is_some();
        let mut leaving = Part::run(&mut self.0, input)?;
        if is_engine {
            std::thread::sleep(leaving.run.mul_f64(self.1 - 1.0));
            leaving.run = leaving.run.mul_f64(self.1);
        }
        Ok(leaving)
    }

    fn backend(&self) -> Option<&'static str> {
        Part::backend(&self.0)
    }
}
