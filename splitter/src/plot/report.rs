//! What a report shows, gathered from plans, sweeps and profiles.

use std::collections::BTreeMap;

use kerf_wire::Profile;
use kerf_wire::profile::Sample;
use serde::Serialize;

use crate::plan::Plan;
use crate::plan::document::Placement;
use crate::profile::sweep::{Row, Sweep, Way, verdict};

/// What a report shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Its title.
    pub title: String,
    /// The answers, one sentence each.
    pub verdicts: Vec<String>,
    /// Speed of the link that the sliders begin with.
    pub uplink_kbit_s: f64,
    /// RTT that the sliders begin with.
    pub rtt_ms: f64,
    /// Every way that the sliders choose among.
    pub candidates: Vec<CandidateLine>,
    /// What was run for real.
    pub measured: Vec<MeasuredBar>,
    /// Heads of the same cuts, planned and run.
    pub predicted: Vec<Pair>,
    /// Kernels of the first profile.
    pub kernels: Vec<KernelBar>,
    /// The machine of these kernels.
    pub machine: String,
}

/// One way, as a line over the link's speed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateLine {
    /// What a person calls it.
    pub label: String,
    /// `edge`, `cloud` or `split`.
    pub way: Way,
    /// True where the link is used.
    pub remote: bool,
    /// On the device, encoding included.
    pub device_ms: f64,
    /// Behind the link, decoding included.
    pub cloud_ms: f64,
    /// Over the link.
    pub bytes: u64,
}

/// One way that was run: head, encode, network, decode, tail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredBar {
    /// What a person calls it.
    pub label: String,
    /// Medians in that order.
    pub parts_ms: [f64; 5],
}

/// One cut's head, planned and run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The cut.
    pub label: String,
    /// By the plan.
    pub predicted_ms: f64,
    /// By the sweep.
    pub measured_ms: f64,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelBar {
    /// The engine's name for it.
    pub name: String,
    /// Its operation.
    pub op: String,
    /// Median.
    pub ms: f64,
}

impl Report {
    /// An empty report.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            uplink_kbit_s: 8_000.0,
            rtt_ms: 20.0,
            ..Self::default()
        }
    }

    /// Adds a plan: its verdict and its candidates.
    pub fn add_plan(&mut self, plan: &Plan) {
        self.verdicts.push(plan.verdict.clone());
        if let (Some(kbit_s), Some(rtt_ms)) = (plan.assumptions.uplink_kbit_s.first(), plan.assumptions.rtt_ms.first())
        {
            (self.uplink_kbit_s, self.rtt_ms) = (*kbit_s, *rtt_ms);
        }
        for candidate in &plan.candidates {
            self.candidates.push(CandidateLine {
                label: candidate.label(),
                way: match candidate.placement {
                    Placement::EdgeOnly => Way::Edge,
                    Placement::CloudRaw | Placement::CloudPhoto => Way::Cloud,
                    Placement::Split => Way::Split,
                },
                remote: candidate.payload_bytes > 0,
                device_ms: candidate.device_ms,
                cloud_ms: candidate.cloud_ms,
                bytes: candidate.payload_bytes,
            });
        }
    }

    /// Adds a sweep: its verdict, its bars, its candidates where no plan has given any, and how its heads compare with
    /// a plan's.
    pub fn add_sweep(&mut self, sweep: &Sweep) {
        let answer = verdict(sweep);
        let jobs = answer.with_job.iter().map(|job| job.sentence.clone());
        self.verdicts
            .extend(std::iter::once(answer.sentence.clone()).chain(jobs));
        let planned: BTreeMap<String, f64> = self.candidates.iter().map(|c| (c.label.clone(), c.device_ms)).collect();
        let is_first = planned.is_empty();
        for (way, value, rows) in ways(sweep) {
            let middle =
                |figure: fn(&Row) -> f64| Sample::of(&rows.iter().map(|row| figure(row)).collect::<Vec<_>>()).median;
            let label = match way {
                Way::Edge => "device only".to_owned(),
                Way::Cloud => "cloud only".to_owned(),
                Way::Split => value.to_owned(),
            };
            let parts_ms = [
                middle(|r| r.head_ms),
                middle(|r| r.save_ms),
                middle(|r| r.network_ms),
                middle(|r| r.load_ms),
                middle(|r| r.tail_ms),
            ];
            if let Some(predicted_ms) = planned.get(&label).filter(|_| way == Way::Split) {
                self.predicted.push(Pair {
                    label: label.clone(),
                    predicted_ms: *predicted_ms,
                    measured_ms: parts_ms[0],
                });
            }
            if is_first && parts_ms.iter().sum::<f64>() > 0.0 {
                self.candidates.push(CandidateLine {
                    label: label.clone(),
                    way,
                    remote: way != Way::Edge,
                    device_ms: parts_ms[0] + parts_ms[1],
                    cloud_ms: parts_ms[3] + parts_ms[4],
                    // The reference tool sends floats of 32 bits.
                    bytes: rows
                        .first()
                        .map_or(0, |row| row.payload_bytes.unwrap_or(row.elements * 4)),
                });
            }
            if parts_ms.iter().sum::<f64>() > 0.0 {
                self.measured.push(MeasuredBar { label, parts_ms });
            }
        }
        if self.kernels.is_empty() {
            self.kernels = layers(sweep);
            self.machine = format!("{}, each layer alone", sweep.model);
        }
    }

    /// Adds a profile's kernels; of several profiles the first.
    pub fn add_profile(&mut self, profile: &Profile) {
        self.verdicts.push(format!(
            "{} on {}: {:.3} ms a run (95 %: {:.3} … {:.3}).",
            profile.model.name, profile.machine.name, profile.run_ms.median, profile.run_ms.low, profile.run_ms.high
        ));
        if self.machine.is_empty() {
            self.machine = format!("{} ({})", profile.machine.name, profile.machine.backend);
            let bar = |kernel: &kerf_wire::profile::Kernel| KernelBar {
                name: kernel.name.clone(),
                op: kernel.op.clone(),
                ms: kernel.ms.median,
            };
            self.kernels = profile.kernels.iter().map(bar).collect();
        }
    }
}

/// Rows of the same way and value, in the table's order.
fn ways(sweep: &Sweep) -> Vec<(Way, &str, Vec<&Row>)> {
    let mut ways: Vec<(Way, &str, Vec<&Row>)> = Vec::new();
    for row in &sweep.rows {
        match ways
            .iter_mut()
            .find(|(way, value, _)| *way == row.way && *value == row.value)
        {
            Some((_, _, rows)) => rows.push(row),
            None => ways.push((row.way, &row.value, vec![row])),
        }
    }
    ways
}

/// Layers that were run alone, where the table has them.
fn layers(sweep: &Sweep) -> Vec<KernelBar> {
    let bar = |row: &Row| {
        Some(KernelBar {
            name: row.value.clone(),
            op: row.op.clone().unwrap_or_default(),
            ms: row.layer_ms?,
        })
    };
    sweep
        .rows
        .iter()
        .filter(|row| row.repetition == 0)
        .filter_map(bar)
        .collect()
}
