//! Bits an element against loss, as an SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::survey::Row;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const MARGIN: f64 = 56.0;
/// Bits from which the axis ends: 32 is what a float takes.
const MOST_BITS: f64 = 10.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#34495e"];

/// A curve a cut and family of codecs; lower left is better.
pub(super) fn svg(rows: &[Row]) -> String {
    let mut curves: BTreeMap<(String, String), Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.score.bits <= MOST_BITS) {
        let family = row
            .codec
            .split(" step")
            .next()
            .unwrap_or(&row.codec)
            .trim_start_matches('(');
        let curve = curves.entry((row.cut.clone(), family.to_owned())).or_default();
        curve.push((row.score.bits, row.score.loss()));
    }
    let worst = curves.values().flatten().map(|(_, loss)| *loss).fold(0.01, f64::max);
    let x = |bits: f64| MARGIN + bits / MOST_BITS * (WIDTH - 2.0 * MARGIN);
    let y = |loss: f64| HEIGHT - MARGIN - (loss / worst).sqrt() * (HEIGHT - 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    axes(&mut text, worst, x, y);
    for (index, ((cut, family), mut points)) in curves.into_iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let path: Vec<String> = points
            .iter()
            .map(|(b, l)| format!("{:.1},{:.1}", x(*b), y(*l)))
            .collect();
        let name = escape(&format!("{cut}: {family}"));
        let _infallible = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"><title>{name}</title></polyline>",
            path.join(" ")
        );
        for point in &path {
            let (px, py) = point.split_once(',').unwrap_or_default();
            let _infallible = writeln!(
                text,
                "<circle cx=\"{px}\" cy=\"{py}\" r=\"3\" fill=\"{colour}\"><title>{name}</title></circle>"
            );
        }
    }
    text.push_str("</svg>\n");
    text
}

fn axes(text: &mut String, worst: f64, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    for bits in 0..=10_u32 {
        let at = x(f64::from(bits));
        let _infallible = writeln!(
            text,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{bits}</text>",
            HEIGHT - MARGIN + 16.0
        );
    }
    for share in [0.0, 0.05, 0.25, 0.5, 1.0] {
        let (loss, at) = (share * worst, y(share * worst));
        let _infallible = writeln!(
            text,
            "<line x1=\"{MARGIN}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.1} %</text>",
            WIDTH - MARGIN,
            MARGIN - 6.0,
            at + 4.0,
            loss * 100.0
        );
    }
    let _infallible = writeln!(
        text,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">bits an element</text>\
         <text x=\"{MARGIN}\" y=\"{:.1}\">loss: answers that change, or how far the output moves (root scale)</text>",
        WIDTH / 2.0,
        HEIGHT - 14.0,
        MARGIN - 24.0
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
