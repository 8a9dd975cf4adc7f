//! `fixed + a · MACs + b · bytes + c · nodes inside` for one kind of node, nothing negative, fitted to the relative error.

use super::Observation;

/// Rounds of coordinate descent; four unknowns settle long before.
const ROUNDS: usize = 400;

/// What a time is made of.
const TERMS: usize = 4;

/// Milliseconds: fixed, a MAC, a byte, a node that runs inside.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Linear(pub [f64; TERMS]);

fn terms(o: &Observation) -> [f64; TERMS] {
    [1.0, o.macs, o.bytes, o.inside]
}

impl Linear {
    /// Least squares of `predicted ÷ measured − 1`, by coordinate descent on the normal equations (Franc, Hlaváč and Navara
    /// 2005): each unknown in turn takes its best value that is not negative.
    pub(super) fn fit<'a>(observations: impl Iterator<Item = &'a Observation>) -> Self {
        let mut square = [[0.0; TERMS]; TERMS];
        let mut right = [0.0; TERMS];
        for o in observations.filter(|o| o.ms > 0.0) {
            let terms = terms(o).map(|term| term / o.ms);
            for i in 0..TERMS {
                right[i] += terms[i];
                for j in 0..TERMS {
                    square[i][j] += terms[i] * terms[j];
                }
            }
        }
        let mut x = [0.0_f64; TERMS];
        for _ in 0..ROUNDS {
            for i in 0..TERMS {
                if square[i][i] > 0.0 {
                    let others: f64 = (0..TERMS).filter(|j| *j != i).map(|j| square[i][j] * x[j]).sum();
                    x[i] = ((right[i] - others) / square[i][i]).max(0.0);
                }
            }
        }
        Self(x)
    }

    /// Milliseconds; never 0, so that its logarithm exists.
    pub(super) fn ms(self, o: &Observation) -> f64 {
        let sum: f64 = self.0.iter().zip(terms(o)).map(|(a, b)| a * b).sum();
        sum.max(1e-7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_machine_is_found_exactly_and_nothing_is_negative() {
        let observation = |macs: f64, bytes: f64| Observation {
            model: "m".into(),
            kind: "Conv".into(),
            macs,
            bytes,
            ms: 0.002 + macs * 3e-7 + bytes * 5e-8,
            ..Observation::default()
        };
        let all: Vec<Observation> = (1..40)
            .map(|i| observation(f64::from(i * i) * 1e4, f64::from(i % 7 + 1) * 1e5))
            .collect();
        let linear = Linear::fit(all.iter());
        for o in &all {
            assert!((linear.ms(o) / o.ms - 1.0).abs() < 1e-3, "{linear:?}");
        }
        let mut falling = all;
        falling.iter_mut().for_each(|o| o.ms = 1.0 / o.bytes);
        assert!(Linear::fit(falling.iter()).0.iter().all(|x| *x >= 0.0));
    }
}
