//! In which range of a parameter (seconds a byte, RTT) each cut is the best.
//!
//! The price of one cut is a straight line over such a parameter, and the best price the lower envelope of all lines.
//! It is found by asking for the best cut at the ends and wherever two known lines meet (Eisner and Severance, JACM
//! 1976): one question a piece and one a corner, whatever the number of cuts.

use super::limits::MAX_PIECES;

/// The price of one cut: `at(x) = base + slope · x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Price at 0.
    pub base: f64,
    /// Price for each unit of the parameter.
    pub slope: f64,
}

impl Line {
    /// The price at `x`.
    pub fn at(self, x: f64) -> f64 {
        self.base + self.slope * x
    }
}

/// One cut and the range in which it is the best.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece<T> {
    /// Where the range begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// The cut.
    pub cut: T,
    /// What it costs.
    pub line: Line,
}

/// Relative difference below which two prices are the same: solvers round prices to whole units.
const SAME: f64 = 1e-7;

/// The best cut for every parameter from `from` to `to`, in order, neighbours joined.
///
/// # Errors
/// As `solve`.
pub fn envelope<T: Clone, E>(
    from: f64,
    to: f64,
    mut solve: impl FnMut(f64) -> Result<(T, Line), E>,
) -> Result<Vec<Piece<T>>, E> {
    let mut corners = vec![(from, solve(from)?)];
    let mut pending = vec![(to, solve(to)?)];
    // Each turn either proves one corner or finds one more line: both are bounded.
    for _ in 0..4 * MAX_PIECES {
        let (Some((_, (_, left))), Some((_, (_, right)))) = (corners.last(), pending.last()) else {
            break;
        };
        let meet = crossing(*left, *right, corners.last().map_or(from, |c| c.0), to);
        let Some(x) = meet else {
            corners.extend(pending.pop());
            continue;
        };
        let best = solve(x)?;
        if best.1.at(x) < left.at(x) * (1.0 - SAME) {
            pending.push((x, best));
        } else if let Some((_, right)) = pending.pop() {
            corners.push((x, right));
        }
    }
    corners.extend(pending.into_iter().rev());
    Ok(pieces(corners, to))
}

/// Where the right line dips below the left one, strictly within the range.
fn crossing(left: Line, right: Line, from: f64, to: f64) -> Option<f64> {
    let x = (right.base - left.base) / (left.slope - right.slope);
    (x.is_finite() && x > from && x < to && left.slope > right.slope).then_some(x)
}

fn pieces<T: Clone>(corners: Vec<(f64, (T, Line))>, to: f64) -> Vec<Piece<T>> {
    let mut pieces: Vec<Piece<T>> = Vec::new();
    for (start, (cut, line)) in corners {
        match pieces.last_mut() {
            Some(last) if last.line == line => {}
            last => {
                if let Some(last) = last {
                    last.to = start;
                }
                pieces.push(Piece {
                    from: start,
                    to,
                    cut,
                    line,
                });
            }
        }
    }
    pieces.retain(|piece| piece.from < piece.to || piece.from >= to);
    pieces
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test says what failed by panicking")]

    use super::*;

    fn best(lines: &[Line], x: f64) -> Result<(usize, Line), ()> {
        let order = |a: &(usize, &Line), b: &(usize, &Line)| a.1.at(x).total_cmp(&b.1.at(x));
        lines.iter().enumerate().min_by(order).map(|(i, l)| (i, *l)).ok_or(())
    }

    #[test]
    fn every_point_gets_the_lowest_of_all_lines() {
        // Tangents of the parabola -x²: each is the lowest somewhere.
        let mut lines: Vec<Line> = (0..20)
            .map(f64::from)
            .map(|t| Line {
                base: t * t + 500.0,
                slope: -2.0 * t,
            })
            .collect();
        lines.push(Line {
            base: 900.0,
            slope: 0.0,
        });
        let pieces = envelope(0.0, 19.0, |x| best(&lines, x)).expect("it always answers");
        assert_eq!(pieces.len(), 20);
        for step in 0..=1900 {
            let x = f64::from(step) / 100.0;
            let piece = pieces.iter().find(|p| p.from <= x && x <= p.to).expect("no gap");
            let lowest = best(&lines, x).expect("it always answers").1.at(x);
            assert!((piece.line.at(x) - lowest).abs() < 1e-9, "at {x}");
        }
    }

    #[test]
    fn one_line_is_one_piece() {
        let lines = [Line { base: 1.0, slope: 1.0 }, Line { base: 2.0, slope: 1.0 }];
        let pieces = envelope(0.0, 5.0, |x| best(&lines, x)).expect("it always answers");
        assert_eq!((pieces.len(), pieces[0].from, pieces[0].to), (1, 0.0, 5.0));
    }
}
