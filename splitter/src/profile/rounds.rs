//! Several models measured in turn, round after round: what a machine takes when nothing else is in the way.
//!
//! Owns: the order of measuring, and what of the rounds counts. Must not know: what the profiles are for.
//! Others on a machine only ever make a run slower, and for a while: what is measured back to back is wrong together, and the
//! median of it as well. So each model has its turn in every round, and of each kernel the round counts in which it was quickest.

use kerf_wire::Profile;
use kerf_wire::profile::{Kernel, Sample};

use super::{Job, ProfileRunError, profile_model};

/// A model as it was measured in all rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Steady {
    /// Of each figure the quickest round's.
    pub profile: Profile,
    /// How much longer the median round took than the quickest, as a fraction: the machine's own noise.
    pub noise: f64,
    /// Runs that were repeated because others took the CPU.
    pub disturbed: u32,
}

/// One model that was not measured, and why.
pub type Refused = (usize, ProfileRunError);

/// Measures each job once a round; gives what was measured of each, in order. A model that is refused in the first round is
/// left out of the others.
pub fn profile_in_rounds(
    jobs: &[Job<'_>],
    rounds: u32,
    mut progress: impl FnMut(&Job<'_>),
) -> (Vec<Option<Steady>>, Vec<Refused>) {
    let mut seen: Vec<Vec<Profile>> = vec![Vec::new(); jobs.len()];
    let mut disturbed = vec![0; jobs.len()];
    let mut refused: Vec<Refused> = Vec::new();
    for _ in 0..rounds.max(1) {
        for (index, job) in jobs.iter().enumerate() {
            if refused.iter().any(|(other, _)| *other == index) {
                continue;
            }
            progress(job);
            match profile_model(job, |_| ()) {
                Ok((profile, measured)) => {
                    disturbed[index] += measured.disturbed;
                    seen[index].push(profile);
                }
                Err(why) => refused.push((index, why)),
            }
        }
    }
    let steady = seen
        .into_iter()
        .zip(disturbed)
        .enumerate()
        .map(|(index, (profiles, disturbed))| {
            let is_refused = refused.iter().any(|(other, _)| *other == index);
            let noise = noise(&profiles);
            let profile = (!is_refused).then(|| quickest(profiles)).flatten()?;
            Some(Steady {
                profile,
                noise,
                disturbed,
            })
        });
    (steady.collect(), refused)
}

/// The median round over the quickest, less one.
fn noise(profiles: &[Profile]) -> f64 {
    let medians: Vec<f64> = profiles.iter().map(|profile| profile.run_ms.median).collect();
    let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
    if least > 0.0 && least.is_finite() {
        Sample::of(&medians).median / least - 1.0
    } else {
        0.0
    }
}

/// The first round's profile with the quickest round's figures; a round whose kernels are others' does not count for them.
fn quickest(profiles: Vec<Profile>) -> Option<Profile> {
    let mut rounds = profiles.into_iter();
    let mut best = rounds.next()?;
    let lower = |a: &mut Sample, b: Sample| {
        if b.median < a.median {
            *a = b;
        }
    };
    for round in rounds {
        lower(&mut best.run_ms, round.run_ms);
        if let (Some(a), Some(b)) = (&mut best.timed_run_ms, round.timed_run_ms) {
            lower(a, b);
        }
        best.load_ms = best.load_ms.min(round.load_ms);
        let names = |kernels: &[Kernel]| kernels.iter().map(|k| k.name.clone()).collect::<Vec<_>>();
        if names(&best.kernels) == names(&round.kernels) {
            for (a, b) in best.kernels.iter_mut().zip(&round.kernels) {
                lower(&mut a.ms, b.ms);
            }
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use kerf_wire::Digest;
    use kerf_wire::profile::{FORMAT, Machine, MeasuredModel};

    use super::*;

    fn round(run_ms: f64, kernels: &[(&str, f64)]) -> Profile {
        Profile {
            format: FORMAT,
            tool: "kerf".into(),
            machine: Machine {
                name: "desk".into(),
                device: "CPU".into(),
                backend: "tract".into(),
                version: "0".into(),
                threads: None,
                background_load: None,
            },
            model: MeasuredModel {
                name: "m".into(),
                sha256: Digest([0; 32]),
                bytes: 1,
            },
            load_ms: 1.0,
            first_run_ms: 1.0,
            run_ms: Sample::exact(run_ms),
            kernels: kernels
                .iter()
                .map(|(name, ms)| Kernel {
                    name: (*name).to_owned(),
                    op: "Conv".into(),
                    covers: Vec::new(),
                    ms: Sample::exact(*ms),
                })
                .collect(),
            timed_run_ms: None,
            memory_bytes: None,
            energy: None,
            input: None,
            answer_bytes: None,
            codecs: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn each_kernel_counts_as_in_the_round_in_which_it_was_quickest() {
        let rounds = vec![
            round(10.0, &[("a", 4.0), ("b", 9.0)]),
            round(8.0, &[("a", 5.0), ("b", 3.0)]),
            round(20.0, &[("a", 1.0)]),
        ];
        assert!((noise(&rounds) - 0.25).abs() < 1e-12);
        let best = quickest(rounds).unwrap();
        let ms: Vec<f64> = best.kernels.iter().map(|kernel| kernel.ms.median).collect();
        assert_eq!(ms, [4.0, 3.0]);
        assert!((best.run_ms.median - 8.0).abs() < 1e-12);
    }
}
