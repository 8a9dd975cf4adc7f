//! Tables of measured splits: the reference tool's figures get the verdict that they themselves support, and our own
//! sweeps write its columns.
//!
//! The figures are those that the reference tool's users measured with MobileNetV2 160 × 160 (seconds there); each small
//! table holds the two whole runs and the splits that matter.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use kerf_splitter::profile::sweep::{Sweep, Way, reference_csv, verdict};
use kerf_tests::{fail, kerf, model, succeed};

const HEADER: &str = "SplitLayer,1stInfTime,2ndInfTime,oscarJobTime,kubePodTime,tensorSaveTime,tensorLoadTime,tensorLength,networkingTime";

fn read(text: &str) -> Sweep {
    Sweep::parse(text.as_bytes(), "table").unwrap()
}

/// Raspberry Pi 4: edge only 0.214, cloud only 0.421, best split 0.356, with its job 1.16.
fn raspberry_pi() -> String {
    format!(
        "{}\n\
         NO_SPLIT,0.2137,0.0,0.0,0.0,0,0,0,0\n\
         NO_SPLIT,0.0,0.1645,1.0564,4.4,0,0.0004,76800,0.2558\n\
         first,0.0099,0.1725,0.9710,4.0,0.0098,0.0008,204800,0.3649\n\
         pooled,0.1701,0.0277,0.8310,4.0,0.0022,0.0001,1280,0.1562\n",
        HEADER.replace("tensorLength", "tensorLenght")
    )
}

#[test]
fn where_the_figures_say_do_not_split_so_do_we() {
    let table = read(&raspberry_pi());
    assert_eq!(table.rows[1].way, Way::Cloud);
    assert_eq!(table.rows[2].elements, 204_800, "the old spelling is read");
    let answer = verdict(&table);
    assert!(!answer.split && answer.best_value == "pooled");
    assert!((answer.whole_ms.unwrap() - 213.7).abs() < 1e-6 && (answer.split_ms.unwrap() - 356.3).abs() < 1e-6);
    assert_eq!(
        answer.sentence,
        "Do not split: edge only takes 213.7 ms; the best split, at `pooled`, takes 356.3 ms."
    );
    let job = answer.with_job.unwrap();
    assert!(!job.split && (job.split_ms.unwrap() - 1_159.5).abs() < 0.1);
}

#[test]
fn where_a_split_wins_it_is_named_and_loses_again_with_a_job_for_each_call() {
    // Jetson Nano, TensorRT, batch 32: edge only 2.011, cloud only 1.971, best split 1.851, with its job 2.67.
    let table = read(&format!(
        "{HEADER}\n\
         NO_SPLIT,2.0114,0.0,0.0,0.0,0,0,0,0\n\
         NO_SPLIT,0.0,1.6621,2.5954,8.4,0,0.0083,2457600,0.3002\n\
         early,0.1018,1.5485,2.5238,9.2,0.1982,0.0213,6553600,0.5271\n\
         fourth_add,0.9188,0.7072,1.5234,7.0,0.0079,0.0014,409600,0.2154\n"
    ));
    let answer = verdict(&table);
    assert!(answer.split, "{}", answer.sentence);
    assert_eq!(
        answer.sentence,
        "Cut at `fourth_add`: 1851 ms, 119.9 ms better than cloud only."
    );
    let job = answer.with_job.unwrap();
    assert!(!job.split, "{}", job.sentence);
    assert!(
        job.sentence
            .starts_with("Do not split with a job started for each call: edge only"),
        "{}",
        job.sentence
    );
}

#[test]
fn repetitions_hold_a_gain_within_the_noise_apart_from_a_real_one() {
    let repetitions = |gains: [f64; 8]| {
        let one = |gain: &f64| {
            format!(
                "{HEADER}\nNO_SPLIT,1.0,0,0,0,0,0,0,0\nNO_SPLIT,0,9,0,0,0,0,1,0\na,{},0,0,0,0,0,1,0\n",
                1.0 - gain
            )
        };
        read(&gains.iter().map(one).collect::<String>())
    };
    let noise = repetitions([0.3, -0.2, 0.1, -0.1, 0.2, -0.3, 0.1, 0.1]);
    assert_eq!(noise.rows.iter().map(|row| row.repetition).max(), Some(7));
    let answer = verdict(&noise);
    assert!(
        !answer.split && answer.sentence.contains("no better within what was measured"),
        "{}",
        answer.sentence
    );
    assert!(verdict(&repetitions([0.1, 0.12, 0.11, 0.1, 0.1, 0.09, 0.1, 0.1])).split);
}

#[test]
fn other_generations_are_read_and_damage_is_named_by_line() {
    let oldest = read("SplitLayer,Time1,Time2,Time3,Time4\nNO_SPLIT,2,0,0,0\nNO_SPLIT,0,1,3,4\na,1,0.5,2,3\n");
    assert!((oldest.rows[2].head_ms - 1_000.0).abs() < 1e-9 && (oldest.rows[1].pod_ms - 4_000.0).abs() < 1e-9);
    let layers = read(
        "SplitLayer,TensorLength,OpType,NrParameters,NrFilters,FLOPS,LayerInfTimeEdge,LayerInfTimeCloud\n\
         a,204800,Conv,320,32,9312,0.002475,0.000222\n",
    );
    assert_eq!(layers.rows[0].layer_ms, Some(2.475));
    assert_eq!(
        (layers.rows[0].op.as_deref(), layers.rows[0].params),
        (Some("Conv"), Some(320))
    );
    assert_eq!(
        verdict(&layers).sentence,
        "The table has no run of the model, only layers alone."
    );
    for (text, what) in [
        ("a,1,2\n", "line 1: expected a header"),
        ("SplitLayer,1stInfTime\na,fast\n", "line 2: column 1stInfTime"),
        ("SplitLayer,1stInfTime\na,-1\n", "line 2: column 1stInfTime"),
        ("", "no row"),
        ("{\"format\": 1}", "not what this program reads"),
    ] {
        let why = Sweep::parse(text.as_bytes(), "x").unwrap_err().to_string();
        assert!(why.contains(what), "{text:?}: {why}");
    }
    let written = reference_csv::write(&read(&raspberry_pi()));
    assert_eq!(
        read(&written).rows,
        read(&raspberry_pi()).rows,
        "what is written reads back"
    );
}

#[test]
fn a_sweep_runs_every_split_and_goes_on_after_an_interruption() {
    let dir = tempfile::tempdir().unwrap();
    let (json, csv) = (dir.path().join("sweep.json"), dir.path().join("time_table.csv"));
    let run = || {
        let mut command = kerf();
        command
            .arg("profile")
            .arg(model("lenet5"))
            .args(["--sweep", "--rep", "2", "--uplink-kbit-s", "1000"]);
        command.arg("-o").arg(&json).arg("--csv").arg(&csv);
        command
    };
    let text = succeed(&mut run());
    assert!(text.contains("Do not split: ") || text.contains("Cut at `"), "{text}");
    let table = Sweep::parse(&std::fs::read(&json).unwrap(), "").unwrap();
    let layers: serde_json::Value =
        serde_json::from_str(&succeed(kerf().arg("layers").arg(model("lenet5")).args(["--json"]))).unwrap();
    let legal = layers["values"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["legal"] == true)
        .count();
    assert_eq!(
        table.rows.len(),
        (legal + 2) * 2,
        "every legal value twice, and the whole on both sides"
    );
    let first = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(
        first.matches(HEADER).count(),
        2,
        "the header is repeated for each repetition"
    );
    assert_eq!(read(&first).rows.len(), table.rows.len());

    // Interrupted after the first split: what is there is kept, the rest is run.
    let mut cut_short = table.clone();
    cut_short.rows.truncate(6);
    let marker = 123.456;
    cut_short.rows[4].head_ms = marker;
    std::fs::write(&json, cut_short.to_json().unwrap()).unwrap();
    succeed(&mut run());
    let resumed = Sweep::parse(&std::fs::read(&json).unwrap(), "").unwrap();
    assert_eq!(resumed.rows.len(), table.rows.len());
    assert!((resumed.rows[4].head_ms - marker).abs() < 1e-9);

    let mut other = kerf();
    other
        .arg("profile")
        .arg(model("resnet8_digits"))
        .args(["--sweep", "-o"])
        .arg(&json);
    assert!(fail(&mut other, 2).contains("a sweep of another model"));
}
