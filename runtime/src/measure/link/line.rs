//! The line through what was measured of a link.

use kerf_wire::profile::{LinkPoint, Sample};

/// Milliseconds over bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::measure) struct Line {
    /// Milliseconds of no bytes.
    pub(in crate::measure) base: f64,
    /// Milliseconds a byte.
    pub(in crate::measure) slope: f64,
}

impl Line {
    /// Least squares of the relative error: small messages count as much as large ones.
    pub(in crate::measure) fn through(points: &[LinkPoint]) -> Self {
        let [mut w, mut wx, mut wxx, mut wy, mut wxy] = [0.0; 5];
        for point in points.iter().filter(|point| point.ms.median > 0.0) {
            let (x, y) = (point.bytes as f64, point.ms.median);
            let weight = 1.0 / (y * y);
            w += weight;
            wx += weight * x;
            wxx += weight * x * x;
            wy += weight * y;
            wxy += weight * x * y;
        }
        let determinant = w * wxx - wx * wx;
        if determinant <= 0.0 {
            return Self {
                base: wy / w.max(f64::MIN_POSITIVE),
                slope: f64::MIN_POSITIVE,
            };
        }
        Self {
            base: (wxx * wy - wx * wxy) / determinant,
            slope: ((w * wxy - wx * wy) / determinant).max(1e-12),
        }
    }

    /// Half the width that holds 95 of 100 points about the line, as a fraction.
    pub(in crate::measure) fn noise(self, points: &[LinkPoint]) -> f64 {
        let off = |point: &LinkPoint| {
            let line = self.base + self.slope * point.bytes as f64;
            ((point.ms.median - line) / point.ms.median.max(1e-6)).abs()
        };
        let all: Vec<f64> = points.iter().map(off).collect();
        Sample::of(&all).p95
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bytes: u64, ms: f64) -> LinkPoint {
        LinkPoint {
            bytes,
            ms: Sample::exact(ms),
        }
    }

    #[test]
    fn a_line_is_found_and_what_is_off_it_is_told() {
        let exact: Vec<LinkPoint> = [100, 1_000, 10_000, 100_000]
            .map(|bytes| point(bytes, 30.0 + bytes as f64 * 1e-3))
            .into();
        let line = Line::through(&exact);
        assert!((line.base - 30.0).abs() < 1e-6 && (line.slope - 1e-3).abs() < 1e-9);
        assert!(line.noise(&exact) < 1e-6);
        let mut off = exact;
        off[2] = point(10_000, 60.0);
        assert!(Line::through(&off).noise(&off) > 0.1);
    }
}
