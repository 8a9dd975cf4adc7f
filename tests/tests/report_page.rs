//! Reports: one self-contained page whose sliders recompute the best cut, and the same as pictures.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use kerf_splitter::plot::{CandidateLine, KernelBar, MeasuredBar, Pair, Report, page, png, svg};
use kerf_splitter::profile::sweep::Way;
use kerf_tests::browser::{chromium, dom};
use kerf_tests::{fail, kerf, succeed};

/// 100 ways: cutting at value k costs k ms on the device and 100 kB / (k + 1) on the link.
fn report() -> Report {
    let mut report = Report::new("a report with </script> in its title");
    let line = |label: &str, way: Way, device_ms: f64, cloud_ms: f64, bytes: u64| CandidateLine {
        label: label.into(),
        way,
        remote: bytes > 0,
        device_ms,
        cloud_ms,
        bytes,
    };
    report.candidates.push(line("device only", Way::Edge, 100.0, 0.0, 0));
    report
        .candidates
        .push(line("cloud only", Way::Cloud, 0.0, 10.0, 200_000));
    for k in 1..=98_u32 {
        let share = f64::from(k);
        let name = format!("/blocks.{k}/a_rather_long_name_of_a_value/Conv_output_0");
        report.candidates.push(line(
            &name,
            Way::Split,
            share,
            10.0 - share / 10.0,
            u64::from(100_000 / (k + 1)),
        ));
    }
    report.measured.push(MeasuredBar {
        label: "device only".into(),
        parts_ms: [100.0, 0.0, 0.0, 0.0, 0.0],
    });
    report.predicted.push(Pair {
        label: "a".into(),
        predicted_ms: 9.0,
        measured_ms: 10.0,
    });
    report.kernels.push(KernelBar {
        name: "conv".into(),
        op: "Conv".into(),
        ms: 3.0,
    });
    report.verdicts.push("Do not split: \"so it is\".".into());
    report
}

/// The best way at a link, worked out here.
fn best(report: &Report, kbit_s: f64, rtt_ms: f64) -> &str {
    let total = |c: &CandidateLine| {
        let link = if c.remote {
            c.bytes as f64 * 8.0 / kbit_s + rtt_ms
        } else {
            0.0
        };
        c.device_ms + link + c.cloud_ms
    };
    let order = |a: &&CandidateLine, b: &&CandidateLine| total(a).total_cmp(&total(b));
    &report.candidates.iter().min_by(order).unwrap().label
}

#[test]
fn the_page_loads_nothing_and_its_sliders_recompute_the_best_cut() {
    let report = report();
    let text = page(&report).unwrap();
    assert_eq!(
        text.matches("</script>").count(),
        2,
        "a name cannot end the script that holds it"
    );
    for outside in ["src=", "href=", "@import", "url(http", "fetch("] {
        assert!(!text.contains(outside), "{outside}");
    }
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    std::fs::write(&file, text).unwrap();
    for (exponent, rtt) in [(1.0, 0), (3.0, 20), (4.0, 5), (5.0, 1), (7.0, 0)] {
        let dom = dom(&chromium, &file, &format!("kbit={exponent}&rtt={rtt}"));
        let expected = best(&report, 10_f64.powf(exponent), f64::from(rtt));
        assert!(dom.contains("data-ready=\"yes\""), "the script ran to its end");
        assert!(
            dom.contains(&format!("data-best=\"{expected}\"")),
            "at 10^{exponent} kbit/s and {rtt} ms: {expected}"
        );
        assert!(dom.matches("<rect").count() > 300, "bars are drawn");
    }
}

#[test]
fn pictures_hold_the_same() {
    let mut report = report();
    report.measured.clear();
    let text = svg(&report).unwrap();
    assert!(text.starts_with("<svg") && text.contains("blocks.50") && text.trim_end().ends_with("</svg>"));
    let bytes = png(&report).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let image = image_size(&bytes);
    assert!(image.0 == 1100 && image.1 > 100 * 18, "{image:?}");
}

/// Width and height in a PNG's first chunk.
fn image_size(bytes: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn plot_reads_the_reference_tools_tables_and_says_their_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("time_table.csv");
    std::fs::write(
        &table,
        "SplitLayer,1stInfTime,2ndInfTime,oscarJobTime,kubePodTime,tensorSaveTime,tensorLoadTime,tensorLength,networkingTime\n\
         NO_SPLIT,0.2137,0,0,0,0,0,0,0\nNO_SPLIT,0,0.1645,1.0564,4.4,0,0.0004,76800,0.2558\n\
         pooled,0.1701,0.0277,0.8310,4.0,0.0022,0.0001,1280,0.1562\n",
    )
    .unwrap();
    for ending in ["html", "svg", "png"] {
        let output = dir.path().join(format!("report.{ending}"));
        let text = succeed(kerf().arg("plot").arg(&table).arg("-o").arg(&output));
        assert!(text.starts_with("Do not split: edge only takes 213.7 ms"), "{text}");
        assert!(std::fs::metadata(&output).unwrap().len() > 1_000);
    }
    fail(
        kerf()
            .arg("plot")
            .arg(&table)
            .arg("-o")
            .arg(dir.path().join("report.pdf")),
        2,
    );
    std::fs::write(&table, "nonsense\n").unwrap();
    fail(
        kerf()
            .arg("plot")
            .arg(&table)
            .arg("-o")
            .arg(dir.path().join("other.html")),
        2,
    );
}
