//! Is the planner right? A link of a given speed and delay, a slow device, a real broker: the planned way, the ways that come
//! next, and the simple ones are all run for real, and beside them stands the sweep of every cut.
//!
//! Owns: cells, what is run in one, and the figures of it. Must not know: how a plan is computed: it runs `kerf`.
//! Start at [`Bench::cell`]. The device is this machine made slower: whatever its engine takes, it waits that time again,
//! [`SLOWER`] times in all. The head runs in this process, by the code that `kerf-stage run` runs; the tail is `kerf-stage`.

mod plans;
mod real;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mosquitto::Mosquitto;
use crate::shaped::{Shape, ShapedLink};
use crate::{fixture, kerf, model, succeed};

pub use plans::Way;

/// How many times as long as this machine the device takes.
pub const SLOWER: f64 = 8.0;
/// Ways beside the planned one that are run though no baseline.
const NEXT: usize = 5;

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
        image: &[
            "--crop",
            "centre:0.875",
            "--resize",
            "bicubic",
            "--mean",
            "127",
            "--scale",
            "128",
        ],
    },
];

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
    pub fn new(subject: Subject, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let bench = Self {
            subject,
            folder: folder.to_owned(),
            repeats: 9,
            profile_s: 0.0,
            sweep_s: 0.0,
        };
        let profile_s = bench.once("profile", |file| {
            let mut profile = kerf();
            profile
                .arg("profile")
                .arg(model(subject.model))
                .args(["--runs", "60", "--most", "10"]);
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
        plans::slow_device(&bench.file("profile"), &bench.file("device"));
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
        let link = ShapedLink::start(
            broker.port(),
            Shape {
                mbit_s: cell.mbit_s,
                rtt: Duration::from_secs_f64(cell.rtt_ms * 1e-3),
            },
        );
        let start = Instant::now();
        self.measure_link(&link.url(), &broker.url());
        let link_s = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let plan = self.plan();
        let plan_s = start.elapsed().as_secs_f64();
        let ways = plans::ways(&plan, NEXT);
        let runner = real::Runner {
            subject: self.subject,
            picture: self.picture(),
            folder: self.folder.clone(),
            near: link.url(),
            far: broker.url(),
        };
        let ran: Vec<(Way, real::Measured)> = ways
            .into_iter()
            .map(|way| {
                let repeats = if way.predicted_ms > 2_000.0 { 3 } else { self.repeats };
                let measured = runner.run(&way, &plan, repeats);
                (way, measured)
            })
            .collect();
        let composed = sweep::composed(self, &plan);
        self.figures(cell, &ran, &composed, [link_s, plan_s])
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
        succeed(plan.arg("-o").arg(self.file("plan")));
        read(&self.file("plan"))
    }

    fn figures(&self, cell: Cell, ran: &[(Way, real::Measured)], composed: &[sweep::Composed], s: [f64; 2]) -> Value {
        let (planned, measured) = ran.first().expect("the planned way");
        let best = ran.iter().map(|(_, m)| m.total_ms).fold(f64::INFINITY, f64::min);
        let best_composed = composed.iter().map(|c| c.total_ms).fold(f64::INFINITY, f64::min);
        let of_planned = composed.iter().find(|c| c.values == planned.values);
        let regret_composed = of_planned.map(|c| c.total_ms - best_composed);
        // Every cut, with a warm-up and as many runs, by what each would take; and what sweeping took without a link.
        let runs = (self.repeats + 1) as f64;
        let sweep_s = self.sweep_s + composed.iter().map(|c| c.total_ms * 1e-3 * runs).sum::<f64>();
        json!({
            "model": self.subject.model,
            "mbit_s": cell.mbit_s,
            "rtt_ms": cell.rtt_ms,
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
            "profile_link_plan_s": self.profile_s + s[0] + s[1],
            "plan_s": s[1],
            "sweep_s": sweep_s,
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
