//! Is the planner right? A link of a given speed and delay, a slow device, a real broker: the planned way, the ways that come
//! next, and the simple ones are all run for real, and beside them stands the sweep of every cut.
//!
//! Owns: cells, what is run in one, and the figures of it. Must not know: how a plan is computed: it runs `kerf`.
//! Start at [`Bench::cell`]. The device is this machine made slower: whatever its engine takes, it waits that time again,
//! [`Device::slower`] times in all. The head runs in this process, by the code that `kerf-stage run` runs; the tail is `kerf-stage`.

mod plans;
mod real;
mod subjects;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mosquitto::Mosquitto;
use crate::shaped::{Shape, ShapedLink};
use crate::{fixture, kerf, model, succeed};

pub use plans::Way;
pub use subjects::{DEVICE, Device, SUBJECTS, Subject};

/// Above this many milliseconds a way is run fewer times.
const LONG_MS: [(f64, usize); 2] = [(2_000.0, 3), (500.0, 5)];
/// Times that a sweep runs each cut, after [`real::WARM_UP`].
const SWEEP_REPEATS: usize = 10;
/// Ways beside the planned one that are run though no baseline.
const NEXT: usize = 5;

/// One link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Speed each way.
    pub mbit_s: f64,
    /// There and back.
    pub rtt_ms: f64,
}

/// A subject as it was measured, once.
pub struct Bench {
    subject: Subject,
    device: Device,
    folder: PathBuf,
    /// How often a way is run.
    pub repeats: usize,
    profile_s: f64,
    sweep_s: f64,
}

impl Bench {
    /// Measures what is not in the folder yet: a profile of this machine, the device's made of it, and the sweep of every cut.
    ///
    /// # Panics
    /// When `kerf` fails.
    pub fn new(subject: Subject, device: Device, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let bench = Self {
            subject,
            device,
            folder: folder.to_owned(),
            repeats: 9,
            profile_s: 0.0,
            sweep_s: 0.0,
        };
        let profile_s = bench.once("profile", |file| {
            let mut profile = kerf();
            profile.arg("profile").arg(model(subject.model));
            profile.arg("--data").arg(bench.picture()).args(subject.image);
            succeed(profile.arg("-o").arg(file));
        });
        let sweep_s = bench.once("sweep", |file| {
            let mut sweep = kerf();
            sweep
                .arg("profile")
                .arg(model(subject.model))
                .args(["--sweep", "--rep", "7"]);
            succeed(sweep.arg("-o").arg(file));
        });
        plans::slow_device(&bench.file("profile"), &bench.file("device"), device.slower);
        Self {
            profile_s,
            sweep_s,
            ..bench
        }
    }

    fn picture(&self) -> PathBuf {
        fixture(&format!("images/{}", self.subject.picture))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}.{name}.json", self.subject.model))
    }

    /// Makes a file where it is missing; gives the seconds that this took, also where it was made earlier.
    fn once(&self, name: &str, make: impl FnOnce(&Path)) -> f64 {
        let (file, took) = (self.file(name), self.file(&format!("{name}-seconds")));
        if !file.exists() || !took.exists() {
            // An interrupted sweep would go on, and its time would be wrong.
            drop(std::fs::remove_file(&file));
            let start = Instant::now();
            make(&file);
            std::fs::write(&took, start.elapsed().as_secs_f64().to_string()).expect("a file is written");
        }
        let text = std::fs::read_to_string(took).expect("the seconds");
        text.parse().expect("a number")
    }

    /// Measures the link, plans, and runs every way that is worth it; gives the cell's figures.
    ///
    /// # Panics
    /// When a program fails.
    pub fn cell(&self, cell: Cell) -> Value {
        let broker = Mosquitto::start("message_size_limit 0");
        let link = shaped(&broker, cell);
        let start = Instant::now();
        self.measure_link(&link.url(), &broker.url());
        let link_s = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let plan = self.plan();
        let plan_s = start.elapsed().as_secs_f64();
        let ways = plans::ways(&plan, NEXT);
        let runner = self.runner(link, &broker);
        let ran: Vec<(Way, real::Measured)> = ways
            .into_iter()
            .map(|way| {
                let measured = runner.run(&way, &plan, self.repeats_of(way.predicted_ms));
                (way, measured)
            })
            .collect();
        let composed = sweep::composed(self, &plan);
        self.figures(cell, &ran, &composed, [link_s, plan_s])
    }

    fn runner(&self, link: ShapedLink, broker: &Mosquitto) -> real::Runner {
        real::Runner {
            subject: self.subject,
            slower: self.device.slower,
            picture: self.picture(),
            folder: self.folder.clone(),
            near: link.url(),
            far: broker.url(),
        }
    }

    fn repeats_of(&self, ms: f64) -> usize {
        let long = LONG_MS.iter().find(|(least, _)| ms > *least);
        long.map_or(self.repeats, |(_, repeats)| self.repeats.min(*repeats))
    }

    /// Every cut at one value, device only and cloud only, each run for real: what planning by trying takes. Gives the seconds,
    /// how many ways that were, and the seconds that the frames themselves took.
    ///
    /// # Panics
    /// When a program fails.
    pub fn sweep_for_real(&self, cell: Cell) -> Value {
        let broker = Mosquitto::start("message_size_limit 0");
        let link = shaped(&broker, cell);
        self.measure_link(&link.url(), &broker.url());
        let plan = self.plan();
        let runner = self.runner(link, &broker);
        let ways = plans::all(&plan);
        let (start, mut frames_s) = (Instant::now(), 0.0);
        for way in &ways {
            let measured = runner.run(way, &plan, SWEEP_REPEATS);
            frames_s += measured.total_ms * 1e-3 * (SWEEP_REPEATS + real::WARM_UP) as f64;
        }
        json!({
            "model": self.subject.model,
            "mbit_s": cell.mbit_s,
            "rtt_ms": cell.rtt_ms,
            "slower": self.device.slower,
            "sweep_for_real_s": start.elapsed().as_secs_f64(),
            "ways": ways.len(),
            "frames_s": frames_s,
        })
    }

    fn measure_link(&self, near: &str, far: &str) {
        let mut link = kerf();
        link.args(["profile", "--link", near, "--far", far, "--link-most", "12"]);
        succeed(link.arg("-o").arg(self.file("link")));
    }

    fn plan(&self) -> Value {
        let mut plan = kerf();
        plan.arg("plan")
            .arg(model(self.subject.model))
            .arg("--edge")
            .arg(self.file("device"));
        plan.arg("--cloud")
            .arg(self.file("profile"))
            .arg("--link")
            .arg(self.file("link"));
        if let Some(error) = self.device.codec_error {
            plan.args(["--codec-error", &error.to_string()]);
        }
        succeed(plan.arg("-o").arg(self.file("plan")));
        read(&self.file("plan"))
    }

    fn figures(&self, cell: Cell, ran: &[(Way, real::Measured)], composed: &[sweep::Composed], s: [f64; 2]) -> Value {
        let (planned, measured) = ran.first().expect("the planned way");
        let best = ran.iter().map(|(_, m)| m.total_ms).fold(f64::INFINITY, f64::min);
        let best_composed = composed.iter().map(|c| c.total_ms).fold(f64::INFINITY, f64::min);
        let of_planned = composed.iter().find(|c| c.values == planned.values);
        let regret_composed = of_planned.map(|c| c.total_ms - best_composed);
        // Every cut, with warm-ups, by what each frame would take; what beside frames a cut takes is added by the reader, who knows
        // it from the sweep that was run for real.
        let runs = (SWEEP_REPEATS + real::WARM_UP) as f64;
        let frames_s = composed.iter().map(|c| c.total_ms * 1e-3 * runs).sum::<f64>();
        json!({
            "model": self.subject.model,
            "mbit_s": cell.mbit_s,
            "rtt_ms": cell.rtt_ms,
            "slower": self.device.slower,
            "planned": planned.name(),
            "predicted_ms": planned.predicted_ms,
            "measured_ms": measured.total_ms,
            "measured_low_ms": measured.low_ms,
            "measured_high_ms": measured.high_ms,
            "best_ms": best,
            "regret_ms": measured.total_ms - best,
            "regret_composed_ms": regret_composed,
            "best_composed_ms": best_composed,
            "off": (planned.predicted_ms - measured.total_ms) / measured.total_ms,
            "profile_s": self.profile_s,
            "link_s": s[0],
            "plan_s": s[1],
            "sweep_ways": composed.len(),
            "sweep_frames_s": frames_s,
            "sweep_apart_s": self.sweep_s,
            "ways": ran.iter().map(|(way, m)| json!({
                "way": way.name(),
                "baseline": way.baseline,
                "codecs": way.codecs,
                "predicted_ms": way.predicted_ms,
                "measured_ms": m.total_ms,
                "measured_low_ms": m.low_ms,
                "measured_high_ms": m.high_ms,
                "parts_ms": m.parts_ms,
                "frame_bytes": m.frame_bytes,
                "sends_max": m.sends_max,
            })).collect::<Vec<_>>(),
        })
    }
}

fn read(file: &Path) -> Value {
    let bytes = std::fs::read(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The cell's link before a broker.
fn shaped(broker: &Mosquitto, cell: Cell) -> ShapedLink {
    let rtt = Duration::from_secs_f64(cell.rtt_ms * 1e-3);
    let mbit_s = cell.mbit_s;
    ShapedLink::start(broker.port(), Shape { mbit_s, rtt })
}
