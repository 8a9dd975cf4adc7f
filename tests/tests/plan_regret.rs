//! The planner's choice, run for real beside the others over a shaped link: one cell of `cargo xtask bench plan`.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use kerf_tests::regret::{Bench, Cell, DEVICE, SUBJECTS};

#[test]
fn in_one_cell_no_other_way_is_better_than_the_planned_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(SUBJECTS[0], DEVICE, folder.path());
    bench.repeats = 5;
    let cell = bench.cell(Cell {
        mbit_s: 10.0,
        rtt_ms: 30.0,
    });
    println!("{cell:#}");
    let figure = |name: &str| cell[name].as_f64().unwrap();
    let ways = cell["ways"].as_array().unwrap();
    assert!(ways.len() >= 5, "the planned way, the baselines and the next best");
    let regret = figure("regret_ms");
    assert!(
        regret <= (figure("best_ms") * 0.05).max(1.0),
        "{regret} ms worse than the best"
    );
    for way in ways {
        let (predicted, measured) = (
            way["predicted_ms"].as_f64().unwrap(),
            way["measured_ms"].as_f64().unwrap(),
        );
        // What crosses waits 30 ms for the link whatever else this machine does meanwhile.
        let crosses = way["way"] != "edge only";
        assert!(!crosses || measured >= 30.0 && predicted >= 30.0, "{way}");
        assert!(!crosses || (predicted / measured - 1.0).abs() < 0.5, "{way}");
        assert!(
            way["sends_max"].as_u64().unwrap() <= 1,
            "sent again though nothing was lost: {way}"
        );
    }
}
