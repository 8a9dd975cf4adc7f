//! Frames that run together.
//!
//! Owns: how many, joining and splitting them along the first axis, and what happens where that fails.
//! Must not know: deliveries, how anything is published. Start at [`Tail::run_all`].
//!
//! A batch is only another way to run the same frames: where the engine does not take one, they run one by one. The first
//! batch is also run frame by frame and the answers are compared, for there are models whose answers depend on their
//! neighbours (ranges over the whole batch, attention along the first axis); they are then never run together again.

use std::time::{Duration, Instant};

use kerf_wire::{Shape, TensorRef};

use super::output::{Output, Taken};
use super::{Refusal, Tail};
use crate::backend::RunError;
use crate::limits::MAX_PLANS;
use crate::self_test::relative_difference;
use crate::source::{Input, SourceError, concatenate};
use crate::step::Leaving;
use crate::tensor::Tensor;

/// Largest max|a − b| / max|b| between a frame's answers alone and in a batch: more than the order of sums makes, less
/// than one step of an 8-bit scale.
const TOLERANCE: f64 = 1e-3;

/// How many frames may run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// At most.
    pub frames: usize,
    /// How long the first one waits for the others.
    pub wait: Duration,
}

impl BatchConfig {
    /// Each frame by itself, at once.
    pub const NONE: Self = Self {
        frames: 1,
        wait: Duration::ZERO,
    };
}

/// How many may run together now.
#[derive(Debug)]
pub(super) struct Batching {
    config: BatchConfig,
    /// The first batch has been compared.
    compared: bool,
}

/// Why frames did not run together.
#[derive(Debug, thiserror::Error)]
enum NotTogether {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Join(#[from] SourceError),
    #[error("value {value}: expected {rows} rows, got shape {shape:?}")]
    Rows { value: String, rows: u32, shape: Vec<u32> },
}

impl Batching {
    /// As asked for, where the part takes batches.
    pub(super) fn new(config: BatchConfig, takes_batches: bool) -> Self {
        let mut batching = Self {
            config,
            compared: false,
        };
        if config.frames > 1 && !takes_batches {
            batching.end("its part has no open first dimension");
        }
        batching
    }

    /// The largest size of which there are `waiting`. Only as many sizes are used as an engine keeps plans for: all, a half,
    /// a quarter, one.
    pub(super) fn size(&self, waiting: usize) -> usize {
        let most = self.config.frames;
        let sizes = (0..MAX_PLANS - 1).map(|halvings| most >> halvings);
        sizes.filter(|size| *size <= waiting).max().unwrap_or(1).max(1)
    }

    /// How long to wait for more, where so many wait, the first since then.
    pub(super) fn wait(&self, waiting: usize, since: Instant) -> Duration {
        if waiting >= self.config.frames {
            return Duration::ZERO;
        }
        self.config.wait.saturating_sub(since.elapsed())
    }

    fn end(&mut self, why: &str) {
        log::warn!("event=batching_off why={why:?} effect=\"frames run one by one\"");
        self.config = BatchConfig::NONE;
    }
}

/// A frame and what became of it.
type Done = (Taken, Result<Output, Refusal>);

impl Tail {
    /// Runs all of these, together as far as they can be.
    pub(super) fn run_all(&mut self, mut ready: Vec<Taken>) -> Vec<Done> {
        let mut done = Vec::with_capacity(ready.len());
        while !ready.is_empty() {
            let alike = ready
                .iter()
                .zip(ready.iter().skip(1))
                .all(|(a, b)| joins(&a.input, &b.input));
            let count = if alike { self.batching.size(ready.len()) } else { 1 };
            let rest = ready.split_off(count.min(ready.len()));
            let now = std::mem::replace(&mut ready, rest);
            if now.len() == 1 {
                self.one_by_one(now, &mut done);
            } else if self.batching.compared {
                self.together(now, &mut done);
            } else {
                self.both_ways(now, &mut done);
            }
        }
        done
    }

    fn one_by_one(&mut self, frames: Vec<Taken>, done: &mut Vec<Done>) {
        for taken in frames {
            let output = self.one(&taken);
            done.push((taken, output));
        }
    }

    fn one(&mut self, taken: &Taken) -> Result<Output, Refusal> {
        let backend = self.part.backend();
        let leaving = self.part.run(&taken.input)?;
        self.work.ran(&leaving, 1);
        self.work.output(taken, &leaving, backend, 1)
    }

    fn together(&mut self, frames: Vec<Taken>, done: &mut Vec<Done>) {
        let mut outputs = Vec::with_capacity(frames.len());
        let backend = self.part.backend();
        let (part, work) = (self.part.as_mut(), &mut self.work);
        let ran = run_joined(part, &frames, |at, leaving| {
            if at == 0 {
                work.ran(leaving, frames.len());
            }
            outputs.extend(
                frames
                    .get(at)
                    .map(|taken| work.output(taken, leaving, backend, frames.len())),
            );
        });
        match ran {
            Ok(()) => done.extend(frames.into_iter().zip(outputs)),
            Err(why) => {
                log::warn!("event=batch_failed frames={} why={:?}", frames.len(), why.to_string());
                let before = done.len();
                self.one_by_one(frames, done);
                // Where each of them runs by itself, none of them is to blame.
                if done.iter().skip(before).all(|(_, output)| output.is_ok()) {
                    self.batching.end(&why.to_string());
                }
            }
        }
    }

    /// One by one, which gives the answers, and together, to compare.
    fn both_ways(&mut self, frames: Vec<Taken>, done: &mut Vec<Done>) {
        self.batching.compared = true;
        let mut alone: Vec<Vec<Tensor>> = Vec::new();
        let mut outputs = Vec::new();
        let backend = self.part.backend();
        for taken in &frames {
            let output = self.part.run(&taken.input).map_err(Refusal::from).and_then(|leaving| {
                self.work.ran(&leaving, 1);
                let copies = leaving.values.iter().map(|(_, tensor)| Tensor::copy_of(*tensor));
                alone.push(copies.collect::<Result<_, _>>()?);
                self.work.output(taken, &leaving, backend, 1)
            });
            outputs.push(output);
        }
        let mut difference = 0.0_f64;
        let ran = run_joined(self.part.as_mut(), &frames, |at, leaving| {
            let own = alone.get(at).into_iter().flatten();
            for (own, (_, tensor)) in own.zip(&leaving.values) {
                let differs = Tensor::copy_of(*tensor).map_or(f64::NAN, |tensor| relative_difference(&tensor, own));
                // NaN, where one of them has no number, is the largest of all; `max` would pass it over.
                difference = if differs.is_nan() || difference.is_nan() {
                    f64::NAN
                } else {
                    differs.max(difference)
                };
            }
        });
        let all_ran = alone.len() == frames.len();
        done.extend(frames.into_iter().zip(outputs));
        match ran {
            // A frame that does not run by itself does not let the others run either: the next batch is compared.
            _ if !all_ran => self.batching.compared = false,
            Err(why) => self.batching.end(&why.to_string()),
            Ok(()) if difference <= TOLERANCE => {}
            Ok(()) => self.batching.end(&format!(
                "answers differ by {difference:.1e} from those of a frame alone"
            )),
        }
    }
}

/// True where two inputs differ in their rows alone.
fn joins(a: &Input, b: &Input) -> bool {
    let alike = |((name, a), (other, b)): (&(String, Tensor), &(String, Tensor))| {
        name == other && a.dtype() == b.dtype() && !a.shape().is_empty() && a.shape().get(1..) == b.shape().get(1..)
    };
    a.tensors.len() == b.tensors.len() && a.tensors.iter().zip(&b.tensors).all(alike)
}

/// Rows of a frame: what all its tensors have as their first dimension.
fn rows(input: &Input) -> Option<u32> {
    let mut firsts = input.tensors.iter().map(|(_, tensor)| tensor.shape().first().copied());
    let rows = firsts.next()??;
    firsts.all(|first| first == Some(rows)).then_some(rows)
}

/// Runs frames as one; `each` gets what leaves for each of them, in order, once it is sure that all can be told apart.
fn run_joined(
    part: &mut dyn crate::stage::Part,
    frames: &[Taken],
    mut each: impl FnMut(usize, &Leaving<'_>),
) -> Result<(), NotTogether> {
    let inputs: Vec<&Input> = frames.iter().map(|taken| &taken.input).collect();
    let rows: Option<Vec<u32>> = inputs.iter().map(|input| rows(input)).collect();
    let joined = concatenate(&inputs)?;
    let leaving = part.run(&joined)?;
    let of = |value: &str, rows: u32, shape: &[u32]| NotTogether::Rows {
        value: value.to_owned(),
        rows,
        shape: shape.to_vec(),
    };
    let rows = rows.ok_or_else(|| of("that reaches the part", 0, &[]))?;
    let all: u32 = rows.iter().sum();
    for (name, tensor) in &leaving.values {
        if tensor.shape.first() != Some(&all) || all == 0 {
            return Err(of(name, all, tensor.shape));
        }
    }
    let mut before = 0;
    for (at, &rows) in rows.iter().enumerate() {
        let shapes: Vec<Shape> = leaving.values.iter().map(|(_, t)| with_rows(t.shape, rows)).collect();
        let values = leaving.values.iter().zip(&shapes).map(|((name, tensor), shape)| {
            let row_bytes = tensor.bytes.len() / all as usize;
            let of_frame = before as usize * row_bytes..(before + rows) as usize * row_bytes;
            let bytes = tensor.bytes.get(of_frame).unwrap_or_default();
            let dtype = tensor.dtype;
            (*name, TensorRef { dtype, shape, bytes })
        });
        let piece = Leaving {
            values: values.collect(),
            run: leaving.run,
            exit: None,
        };
        each(at, &piece);
        before += rows;
    }
    Ok(())
}

fn with_rows(shape: &[u32], rows: u32) -> Shape {
    std::iter::once(rows).chain(shape.iter().skip(1).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sizes_are_used_and_none_above_what_waits() {
        let sizes = |frames| {
            let wait = Duration::ZERO;
            let batching = Batching::new(BatchConfig { frames, wait }, true);
            (1..=20).map(|waiting| batching.size(waiting)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(8), [1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]);
        assert_eq!(sizes(1), [1; 20]);
        assert_eq!(sizes(3).iter().max(), Some(&3));
        for frames in 1..=64 {
            let mut distinct = sizes(frames);
            distinct.dedup();
            assert!(distinct.len() <= MAX_PLANS, "{frames}: {distinct:?}");
        }
    }

    #[test]
    fn a_full_batch_does_not_wait_and_another_no_longer_than_asked() {
        let wait = Duration::from_secs(10);
        let batching = Batching::new(BatchConfig { frames: 4, wait }, true);
        let now = Instant::now();
        assert_eq!(batching.wait(4, now), Duration::ZERO);
        assert!(batching.wait(3, now) > Duration::from_secs(5));
        let long_ago = now.checked_sub(Duration::from_secs(11)).unwrap_or(now);
        assert_eq!(batching.wait(3, long_ago), Duration::ZERO);
        assert_eq!(
            Batching::new(BatchConfig { frames: 4, wait }, false).wait(1, now),
            Duration::ZERO
        );
    }
}
