//! What a plan says: the ways that are worth running, and what it predicts of each.

use std::collections::BTreeMap;
use std::path::Path;

use kerf_wire::Profile;
use kerf_wire::profile::Sample;
use serde_json::Value;

/// One way to place the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// `edge-only`, `cloud-raw`, `cloud-photo` or `split`.
    pub placement: String,
    /// What crosses.
    pub values: Vec<String>,
    /// How, by name; raw where not named.
    pub codecs: BTreeMap<String, String>,
    /// From input to answer, by the plan.
    pub predicted_ms: f64,
    /// The baseline that it is, where it is one.
    pub baseline: Option<String>,
}

impl Way {
    /// What a person calls it.
    pub fn name(&self) -> String {
        let codecs: Vec<&str> = self.codecs.values().map(String::as_str).collect();
        let codec = codecs.first().map_or_else(String::new, |codec| format!(" as {codec}"));
        match self.placement.as_str() {
            "split" => format!("{}{codec}", self.values.join(" + ")),
            "cloud-raw" => format!("cloud only, tensor{codec}"),
            "cloud-photo" => "cloud only, photo".to_owned(),
            _ => "edge only".to_owned(),
        }
    }
}

/// The device's profile: engine and reading take so many times as long; codecs are not slowed in the runs either.
pub(super) fn slow_device(profile: &Path, device: &Path, factor: f64) {
    let mut slow = Profile::parse(&std::fs::read(profile).expect("a profile")).expect("a profile");
    let slower = |s: &mut Sample| {
        for ms in [&mut s.median, &mut s.p95, &mut s.low, &mut s.high] {
            *ms *= factor;
        }
    };
    "device".clone_into(&mut slow.machine.name);
    slower(&mut slow.run_ms);
    slow.kernels.iter_mut().for_each(|kernel| slower(&mut kernel.ms));
    if let Some(input) = &mut slow.input {
        slower(&mut input.read_ms);
    }
    std::fs::write(device, slow.to_json().expect("JSON")).expect("a file is written");
}

/// The planned way first, then baselines, then the best of all others.
pub(super) fn ways(plan: &Value, next: usize) -> Vec<Way> {
    let planned = Way {
        placement: text(&plan["placement"]),
        values: strings(&plan["cuts"][0]["values"]),
        codecs: map(&plan["cuts"][0]["codecs"]),
        predicted_ms: number(&plan["predicted"]["latency_ms"]),
        baseline: None,
    };
    let mut ways = vec![planned];
    for baseline in plan["baselines"].as_array().into_iter().flatten() {
        let name = text(&baseline["baseline"]);
        let placement = match name.as_str() {
            "edge-only" | "cloud-raw" | "cloud-photo" => name.clone(),
            _ => "split".to_owned(),
        };
        let way = Way {
            placement,
            values: strings(&baseline["cuts"][0]["values"]),
            codecs: map(&baseline["cuts"][0]["codecs"]),
            predicted_ms: number(&baseline["outcome"]["latency_ms"]),
            baseline: Some(name),
        };
        match ways.iter_mut().find(|w| w.values == way.values) {
            Some(there) if there.baseline.is_none() => there.baseline = way.baseline,
            Some(_) => {}
            None => ways.push(way),
        }
    }
    let mut others: Vec<Way> = candidates(plan).collect();
    others.sort_by(|a, b| a.predicted_ms.total_cmp(&b.predicted_ms));
    for way in others.into_iter().take(next) {
        if !ways.iter().any(|w| w.values == way.values) {
            ways.push(way);
        }
    }
    ways
}

/// Device only, cloud only, and every cut at one value.
pub(super) fn all(plan: &Value) -> Vec<Way> {
    let mut all = ways(plan, 0);
    all.retain(|way| way.placement != "split");
    let cuts = candidates(plan).filter(|way| way.placement == "split" && way.values.len() == 1);
    all.extend(cuts);
    all
}

fn candidates(plan: &Value) -> impl Iterator<Item = Way> {
    let assumed = |name: &str| number(&plan["assumptions"][name][0]);
    let (kbit_s, fixed_ms) = (assumed("uplink_kbit_s"), assumed("rtt_ms") + assumed("frame_ms"));
    plan["candidates"].as_array().into_iter().flatten().map(move |c| {
        let link_ms = fixed_ms + number(&c["payload_bytes"]) * 8.0 / kbit_s;
        let link_ms = if c["placement"] == "edge-only" { 0.0 } else { link_ms };
        Way {
            placement: text(&c["placement"]),
            values: strings(&c["values"]),
            codecs: map(&c["codecs"]),
            predicted_ms: number(&c["device_ms"]) + number(&c["cloud_ms"]) + link_ms,
            baseline: None,
        }
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub(super) fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, codec)| (name.clone(), text(codec))).collect()
}
