//! What a codec saves at equal agreement, against the textbook's quantiser: both curves are in the same survey.

use std::fmt::Write as _;

use super::of_cut::DECORRELATED;
use super::percent;
use super::survey::Row;
use crate::commands::table::table;

const HEAD: [&str; 5] = ["codec", "agrees", "bits", "uniform's bits", "saved"];

/// For each row of `dct`, on channels and on components, that no cheaper one of its kind matches: the bits with which the uniform quantiser, at its ideal entropy coder,
/// agrees as often. Nothing where the model is no classifier; rows that agree more or less often than any of the uniform
/// ones are left out.
pub(super) fn text(cut: &str, rows: &[Row]) -> String {
    let of_cut = || rows.iter().filter(|row| row.cut == cut);
    let point = |row: &Row| row.score.agreement.map(|agreement| (agreement, row.score.bits));
    let uniform = of_cut().filter(|row| row.codec.starts_with("(uniform"));
    let mut curve: Vec<(f64, f64)> = uniform.filter_map(point).collect();
    curve.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut lines: Vec<[String; 5]> = Vec::new();
    for family in ["dct step", &format!("({DECORRELATED} step")] {
        let ours = || of_cut().filter(|row| row.codec.starts_with(family));
        lines.extend(ours().filter_map(|row| {
            let (agreement, bits) = point(row)?;
            if ours().filter_map(point).any(|(a, b)| a >= agreement && b < bits) {
                return None;
            }
            let other = bits_at(&curve, agreement)?;
            Some([
                row.codec.clone(),
                percent(agreement),
                format!("{bits:.2}"),
                format!("{other:.2}"),
                percent(1.0 - bits / other),
            ])
        }));
    }
    let mut text = String::new();
    if !lines.is_empty() {
        let lines = table(HEAD, &lines, 1);
        let _infallible = writeln!(text, "at equal agreement, between the uniform rows above\n{lines}");
    }
    text
}

/// The fewest bits at which a line through the points, in the order of their bits, agrees as often; chance can make it
/// cross that more than once, and then the least is the fairest to compare with.
fn bits_at(curve: &[(f64, f64)], agreement: f64) -> Option<f64> {
    let between = |pair: &[(f64, f64)]| {
        let [(a0, b0), (a1, b1)] = pair else { return None };
        let (low, high) = (a0.min(*a1), a0.max(*a1));
        if !(low..=high).contains(&agreement) {
            return None;
        }
        let share = if (high - low).abs() < f64::EPSILON {
            0.0
        } else {
            (agreement - a0) / (a1 - a0)
        };
        Some(b0 + share * (b1 - b0))
    };
    curve.windows(2).filter_map(between).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_bits_of_a_line_through_the_points() {
        let curve = [(0.5, 1.0), (0.7, 2.0), (0.6, 3.0), (0.9, 4.0)];
        let at = |agreement: f64| bits_at(&curve, agreement).map(|bits| (bits * 1000.0).round() / 1000.0);
        assert_eq!(at(0.6), Some(1.5));
        assert_eq!(at(0.75), Some(3.5));
        assert_eq!((at(0.4), at(0.95)), (None, None));
        assert_eq!(at(0.5), Some(1.0));
    }
}
