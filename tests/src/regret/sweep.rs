//! The sweep of every cut, put together: head, tail and codecs as each was measured, the link by its line.

use kerf_wire::Profile;
use kerf_wire::profile::Sample;
use serde_json::Value;

use super::plans::number;
use super::{Bench, read};

/// One cut with its best codec.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Composed {
    pub(super) values: Vec<String>,
    pub(super) total_ms: f64,
}

/// Every way of the sweep, the whole model on the device among them.
pub(super) fn composed(bench: &Bench, plan: &Value) -> Vec<Composed> {
    let sweep = read(&bench.file("sweep"));
    let profile = std::fs::read(bench.file("profile")).expect("a profile");
    let profile = Profile::parse(&profile).expect("a profile");
    let read_ms = profile.input.as_ref().map_or(0.0, |input| input.read_ms.median) * bench.device.slower;
    let assumed = |name: &str| number(&plan["assumptions"][name][0]);
    let fixed_ms = assumed("rtt_ms") + assumed("frame_ms");
    let transfer_ms = |bytes: u64| fixed_ms + bytes as f64 * 8.0 / assumed("uplink_kbit_s");
    let rows = sweep["rows"].as_array().expect("rows");
    let middle = |way: &str, value: &str, what: &str| {
        let of = rows.iter().filter(|row| row["way"] == way && row["value"] == value);
        Sample::of(&of.map(|row| number(&row[what])).collect::<Vec<_>>()).median
    };
    let mut values: Vec<&str> = rows
        .iter()
        .filter(|r| r["way"] == "split")
        .filter_map(|r| r["value"].as_str())
        .collect();
    values.dedup();
    let mut all = vec![Composed {
        values: Vec::new(),
        total_ms: read_ms + middle("edge", "", "head_ms") * bench.device.slower,
    }];
    for value in values {
        // Only what keeps the tensor as it was within what a plan takes by itself.
        let exact = profile
            .codecs
            .values()
            .filter_map(|codec| codec.values.get(value))
            .filter(|c| c.relative_error <= bench.device.codec_error.unwrap_or(1e-3));
        let moved = exact.map(|c| c.encode_ms + transfer_ms(c.bytes) + c.decode_ms);
        let moved = moved.fold(f64::INFINITY, f64::min);
        all.push(Composed {
            values: vec![value.to_owned()],
            total_ms: read_ms
                + middle("split", value, "head_ms") * bench.device.slower
                + moved
                + middle("split", value, "tail_ms"),
        });
    }
    all
}
