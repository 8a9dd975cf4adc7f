//! The rows of a survey as tables and as CSV.

use std::fmt::Write as _;

use super::percent;
use super::survey::Row;
use crate::commands::table::table;

fn cells(row: &Row) -> [String; 9] {
    let score = &row.score;
    let speed = |mb_s: f64| {
        if mb_s > 0.0 && row.is_codec {
            format!("{mb_s:.0}")
        } else {
            String::new()
        }
    };
    [
        row.codec.clone(),
        format!("{:.0}", score.payload_bytes),
        format!("{:.2}", score.bits),
        format!("{:.4}", score.relative_error),
        score.agreement.map(percent).unwrap_or_default(),
        score.accuracy.map(percent).unwrap_or_default(),
        format!("{:.4}", score.output_error),
        speed(score.encode_mb_s),
        speed(score.decode_mb_s),
    ]
}

const HEAD: [&str; 9] = [
    "codec",
    "bytes",
    "bits",
    "error",
    "agrees",
    "right",
    "output error",
    "encode MB/s",
    "decode MB/s",
];

pub(super) fn text(cut: &str, rows: &[Row], max_loss: f64) -> String {
    let of_cut: Vec<&Row> = rows.iter().filter(|row| row.cut == cut).collect();
    let lines: Vec<_> = of_cut.iter().map(|row| cells(row)).collect();
    let mut text = format!("{cut}\n{}", table(HEAD, &lines, 1));
    let allowed = of_cut.iter().filter(|row| row.is_codec && row.score.loss() <= max_loss);
    let cheapest = allowed.min_by(|a, b| a.score.payload_bytes.total_cmp(&b.score.payload_bytes));
    let _infallible = match cheapest {
        Some(row) => writeln!(
            text,
            "cheapest with a loss of at most {}: {}, {:.0} bytes\n",
            percent(max_loss),
            row.codec,
            row.score.payload_bytes
        ),
        None => writeln!(text, "no codec has a loss of at most {}\n", percent(max_loss)),
    };
    text
}

pub(super) fn images_text(rows: &[Row]) -> String {
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let [codec, bytes, bits, _, agrees, ..] = cells(row);
            [codec, bytes, bits, agrees]
        })
        .collect();
    format!(
        "the image itself, sent whole\n{}",
        table(["as", "bytes", "bits", "agrees"], &lines, 1)
    )
}

pub(super) fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "cut,codec,is_codec,payload_bytes,bits,relative_error,agreement,accuracy,output_error,encode_mb_s,decode_mb_s\n",
    );
    for row in rows {
        let score = &row.score;
        let optional = |share: Option<f64>| share.map(|s| s.to_string()).unwrap_or_default();
        let _infallible = writeln!(
            text,
            "\"{}\",\"{}\",{},{},{},{},{},{},{},{},{}",
            row.cut.replace('"', "\"\""),
            row.codec,
            row.is_codec,
            score.payload_bytes,
            score.bits,
            score.relative_error,
            optional(score.agreement),
            optional(score.accuracy),
            score.output_error,
            score.encode_mb_s,
            score.decode_mb_s
        );
    }
    text
}
