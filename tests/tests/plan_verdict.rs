//! A plan says in one sentence where to cut, or not to, and its figures are those that a person works out by hand.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test says what failed by panicking; figures are chosen to be exact"
)]

use kerf_splitter::plan::baseline::{Baseline, PHOTO};
use kerf_splitter::plan::case::{Case, Encoding, Link, NodeCost, Tier, ValueCost};
use kerf_splitter::plan::document::Placement;
use kerf_splitter::plan::network::PlanError;
use kerf_splitter::plan::{Goal, Plan, Question, plan};

/// sensor → photo → read → input → a → b → c → out; the device needs ten times the cloud's time.
///
/// | | ms on the device | bytes it makes |
/// |---|---|---|
/// | photo | – | 50,000 |
/// | read (input) | 1 | 600,000 |
/// | a | 10 | 400,000 |
/// | b | 20 | 5,000 |
/// | c | 70 | 40 |
fn chain(uplink_kbit_s: f64, rtt_ms: f64) -> Case {
    let tiers = 2;
    let node = |name: &str, ms: f64, weight_bytes: u64| NodeCost {
        name: name.into(),
        ms: vec![ms, ms / 10.0],
        noise_ms: vec![0.0; tiers],
        weight_bytes,
        lowest: 0,
        highest: 1,
    };
    let value = |name: &str, producer: usize, bytes: u64| ValueCost {
        name: name.into(),
        producer,
        readers: vec![producer + 1],
        output: false,
        may_cross: true,
        encodings: vec![Encoding::raw(bytes, tiers)],
    };
    let mut sensor = node("sensor", 0.0, 0);
    sensor.highest = 0;
    let mut answer = value("out", 4, 40);
    answer.readers.clear();
    answer.output = true;
    Case {
        tiers: vec![Tier::named("board"), Tier::named("cloud")],
        links: vec![Link::new(uplink_kbit_s, rtt_ms)],
        nodes: vec![
            sensor,
            node("read", 1.0, 0),
            node("a", 10.0, 1_000),
            node("b", 20.0, 2_000),
            node("c", 70.0, 900_000),
        ],
        values: vec![
            value(PHOTO, 0, 50_000),
            value("input", 1, 600_000),
            value("a", 2, 400_000),
            value("b", 3, 5_000),
            answer,
        ],
        answer_from: 0,
    }
}

fn latency(case: &Case) -> Plan {
    plan(case, &Question::goal(Goal::Latency)).unwrap()
}

#[test]
fn a_cut_that_pays_is_named_with_its_gain() {
    // Behind b: 1 + 10 + 20 on the device, 5,000 bytes at 1 Mbit/s are 40 ms, RTT 2, 7 in the cloud.
    let plan = latency(&chain(1_000.0, 2.0));
    assert_eq!(plan.placement, Placement::Split);
    assert_eq!(plan.cuts.len(), 1);
    assert_eq!(plan.cuts[0].values, ["b"]);
    assert_eq!(plan.predicted.latency_ms, 31.0 + 40.0 + 2.0 + 7.0);
    // The best way not to cut is the device's 101 ms: the photo takes 400.
    let gain = plan.gain.as_ref().unwrap();
    assert_eq!((gain.over, gain.amount), (Baseline::EdgeOnly, 21.0));
    assert_eq!(
        plan.verdict,
        "Cut at `b`: 80.0 ms, 21.0 ms better than edge only (95 %: 21.0 … 21.0 ms)."
    );
    let figures: Vec<(Baseline, f64)> = plan
        .baselines
        .iter()
        .map(|b| (b.baseline.unwrap(), (b.outcome.latency_ms * 1e3).round() / 1e3))
        .collect();
    assert_eq!(
        figures,
        [
            (Baseline::EdgeOnly, 101.0),
            (Baseline::CloudRaw, 1.0 + 4_800.0 + 2.0 + 10.0),
            (Baseline::CloudPhoto, 412.1),
            (Baseline::SmallestValue, 80.0),
            (Baseline::BestSingle, 80.0),
        ]
    );
}

#[test]
fn a_slow_link_keeps_all_on_the_device() {
    let plan = latency(&chain(100.0, 30.0));
    assert_eq!(plan.placement, Placement::EdgeOnly);
    assert!(plan.cuts.is_empty());
    assert!(
        plan.verdict
            .starts_with("Do not split: run all of it on the device, 101.0 ms"),
        "{}",
        plan.verdict
    );
    assert!(
        plan.verdict.contains("the best cut, at `b`, would take 468.0 ms"),
        "{}",
        plan.verdict
    );
}

#[test]
fn a_fast_link_sends_the_photo_and_without_one_the_input() {
    let plan_with_photo = latency(&chain(1_000_000.0, 1.0));
    assert_eq!(plan_with_photo.placement, Placement::CloudPhoto);
    assert_eq!(plan_with_photo.cuts[0].values, [PHOTO]);
    let mut raw = chain(1_000_000.0, 1.0);
    raw.values[0].may_cross = false;
    raw.nodes[1].highest = 0;
    let plan = latency(&raw);
    assert_eq!(plan.placement, Placement::CloudRaw);
    assert_eq!(plan.cuts[0].values, ["input"]);
    assert!(
        plan.verdict.starts_with("Do not split: send the input as a tensor"),
        "{}",
        plan.verdict
    );
}

#[test]
fn a_gain_within_the_noise_is_no_reason_to_cut() {
    let mut noisy = chain(1_000.0, 2.0);
    noisy.tiers[0].noise = 0.4;
    let plan = latency(&noisy);
    // What moved is c: 70 ms of the device, uncertain by 28 ms, more than the gain of 21.
    let gain = plan.gain.as_ref().unwrap();
    assert_eq!(gain.interval, [21.0 - 28.0, 21.0 + 28.0]);
    assert_eq!(plan.placement, Placement::EdgeOnly);
    assert!(
        plan.verdict.contains("no better within what was measured"),
        "{}",
        plan.verdict
    );
}

#[test]
fn ranges_say_what_a_plan_at_each_speed_says() {
    let case = chain(1_000.0, 2.0);
    let ranges = latency(&case).uplink_kbit_s_ranges;
    let names: Vec<Placement> = ranges.iter().map(|range| range.placement).collect();
    assert_eq!(names, [Placement::EdgeOnly, Placement::Split, Placement::CloudPhoto]);
    // Edge only 101 ms and the cut 40 ms + 40,000 bit / speed meet where the transfer takes 61 ms.
    assert!((ranges[0].to - 40_000.0 / 61.0).abs() < 1e-3, "{ranges:?}");
    assert!((ranges[0].at_to - 101.0).abs() < 1e-6 && (ranges[1].at_from - 101.0).abs() < 1e-3);
    for exponent in 0..60 {
        let uplink = 10.0 * 10f64.powf(f64::from(exponent) / 10.0);
        let range = ranges.iter().find(|r| r.from <= uplink && uplink <= r.to).unwrap();
        assert_eq!(
            latency(&chain(uplink, 2.0)).placement,
            range.placement,
            "at {uplink} kbit/s"
        );
    }
    let over_rtt = latency(&case).rtt_ms_ranges;
    assert_eq!(over_rtt.len(), 2);
    assert!((over_rtt[0].to - 23.0).abs() < 1e-3, "2 ms and the gain of 21");
}

#[test]
fn constraints_are_kept_or_refused() {
    let mut small = chain(1_000.0, 2.0);
    small.tiers[0].memory_bytes = Some(2_500);
    let plan_small = latency(&small);
    // c's weights do not fit, a and b together neither: behind a 3,200 + …, the photo is cheaper.
    assert_eq!(plan_small.placement, Placement::CloudPhoto);
    let mut private = chain(1_000_000.0, 1.0);
    for value in &mut private.values[..3] {
        value.may_cross = false;
    }
    let plan_private = latency(&private);
    assert_eq!(plan_private.cuts[0].values, ["b"]);
    let mut hopeless = Question::goal(Goal::Latency);
    hopeless.constraints.latency_ms = Some(5.0);
    assert!(matches!(plan(&small, &hopeless), Err(PlanError::NoneFits(_))));
}

#[test]
fn throughput_is_the_slowest_stage_or_link() {
    let plan = plan(&chain(1_000.0, 500.0), &Question::goal(Goal::Throughput)).unwrap();
    // RTT does not hold a full pipeline up: device 31, link 40, cloud 7.
    assert_eq!(plan.cuts[0].values, ["b"]);
    assert_eq!(plan.predicted.period_ms, 40.0);
}

#[test]
fn a_codec_is_chosen_where_its_time_is_less_than_what_it_saves() {
    let mut case = chain(1_000.0, 2.0);
    for value in &mut case.values[1..] {
        let raw = value.encodings[0].bytes;
        value.encodings.push(Encoding {
            codec: "lz4".into(),
            bytes: raw / 2,
            encode_ms: vec![3.0, 0.3],
            decode_ms: vec![1.0, 0.5],
        });
    }
    let plan_slow = latency(&case);
    assert_eq!(plan_slow.cuts[0].codecs.get("b").map(String::as_str), Some("lz4"));
    assert_eq!(plan_slow.predicted.latency_ms, 80.0 - 20.0 + 3.5);
    case.links[0].uplink_kbit_s = 10_000.0;
    assert!(
        latency(&case).cuts[0].codecs.is_empty(),
        "4 ms raw are less than 2 + 3.5"
    );
}

#[test]
fn the_front_holds_every_trade_off_and_nothing_else() {
    let question = Question {
        against: Some(Goal::Bytes),
        ..Question::goal(Goal::Latency)
    };
    let plan = plan(&chain(4_000.0, 2.0), &question).unwrap();
    let points: Vec<(f64, u64)> = plan
        .front
        .unwrap()
        .points
        .iter()
        .map(|p| (p.outcome.latency_ms, p.outcome.payload_bytes))
        .collect();
    // At b: 31 + 10 + 2 + 7; edge only sends nothing. Behind c 40 bytes cost more than edge only: no trade-off.
    assert_eq!(points, [(50.0, 5_000), (101.0, 0)]);
}
