//! What it costs to move messages over a broker: sizes from small to large, there and back.
//!
//! Owns: which sizes, how often, and the line through what was measured. Must not know: models, plans.
//! Start at [`measure_link`]. The topics are those of a head and a tail, so an access list that lets these two work lets this work.
//!
//! It is to be quick as well as right. The sizes are those that this link moves within [`LONGEST`]: longer ones would only say
//! again how fast it is. They take turns, so that what else happens on the link meets all of them; a size that has shown the same
//! time often enough has no more turns. A probe does not wait for the answer to the one before it, only until the link is free.

pub(super) mod line;
mod probe;

use std::time::{Duration, Instant};

use kerf_wire::profile::{LinkPoint, Sample};

use crate::broker::{Broker, BrokerError, Message};
use line::Line;
use probe::{Probes, Shot};

/// Length of what the other end answers with.
const ANSWER_BYTES: usize = 64;
/// Waited before each, as a frame now and then finds the machines.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_mins(2);
/// Sizes on the line.
const SIZES: usize = 12;
/// The smallest of them, bytes.
const SMALLEST: usize = 64;
/// The largest that is ever sent, bytes.
const LARGEST: usize = 2 * 1024 * 1024;
/// The largest occupies the link about this long.
const LONGEST: Duration = Duration::from_millis(200);
/// What is sent first to find out how fast the link is, bytes, and the factor between sizes.
const FIRST: (usize, usize) = (4 * 1024, 4);
/// A size whose bytes take this long shows how fast the link is.
const SHOWS: Duration = Duration::from_millis(30);
/// Turns of a size.
const TURNS: std::ops::RangeInclusive<usize> = 3..=15;
/// A size is settled when its middle half lies within this share of its median …
const SETTLED: f64 = 0.03;
/// … or within this.
const SETTLED_MS: f64 = 0.05;

/// Where probes go and where their answers come.
#[derive(Debug, Clone)]
pub struct ProbeTopics {
    /// From here to the other end.
    pub there: String,
    /// From the other end to here.
    pub back: String,
}

/// How it is measured.
#[derive(Debug, Clone)]
pub struct LinkPlan {
    /// No turn is begun after this.
    pub most: Duration,
    /// False where nobody answers at the other end: then a small message behind each large one comes back to ourselves.
    pub is_answered: bool,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredLink {
    /// The smallest message, there and back.
    pub rtt_ms: Sample,
    /// Each size upwards.
    pub up: Vec<LinkPoint>,
    /// Milliseconds a byte upwards.
    pub up_ms_byte: f64,
    /// What a message costs beyond `rtt_ms` and its bytes.
    pub frame_ms: f64,
    /// Milliseconds a byte downwards.
    pub down_ms_byte: f64,
    /// Half the width that holds 95 of 100 sizes about the line, as a fraction.
    pub noise: f64,
}

/// Sends sizes in turn until each has settled, then a few large messages the other way.
///
/// # Errors
/// When the broker does not take or bring messages.
pub fn measure_link(
    broker: &mut dyn Broker,
    topics: &ProbeTopics,
    plan: &LinkPlan,
    mut progress: impl FnMut(usize, usize),
) -> Result<MeasuredLink, BrokerError> {
    broker.subscribe(&topics.back)?;
    let begun = Instant::now();
    let mut probes = Probes::new(broker, topics, plan.is_answered);
    let largest = find_largest(&mut probes)?;
    // Size 0 is the round trip.
    let sizes: Vec<usize> = std::iter::once(0).chain(sizes_up_to(largest)).collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); sizes.len()];
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    for turn in 0..*TURNS.end() {
        let open = |size: &usize| turn < *TURNS.start() || !is_settled(&times[*size]);
        let shots: Vec<Shot> = order
            .iter()
            .filter(|size| open(size))
            .map(|size| Shot::up(*size, sizes[*size]))
            .collect();
        if shots.is_empty() || turn >= *TURNS.start() && begun.elapsed() > plan.most {
            break;
        }
        for (size, took) in probes.fire(&shots)? {
            times[size].push(took.as_secs_f64() * 1e3);
        }
        progress(sizes.len() - shots.len(), sizes.len());
        // What a size's neighbour does to it is not always the same.
        order.reverse();
    }
    let rtt_ms = Sample::of(&times[0]);
    let point = |(bytes, times): (&usize, &Vec<f64>)| LinkPoint {
        bytes: *bytes as u64,
        ms: Sample::of(times),
    };
    let up: Vec<LinkPoint> = sizes.iter().zip(&times).skip(1).map(point).collect();
    let line = Line::through(&up);
    Ok(MeasuredLink {
        down_ms_byte: down(&mut probes, &sizes, &times)?,
        frame_ms: (line.base - rtt_ms.median).max(0.0),
        rtt_ms,
        noise: line.noise(&up),
        up,
        up_ms_byte: line.slope,
    })
}

/// The size that occupies the link for about [`LONGEST`].
fn find_largest(probes: &mut Probes<'_>) -> Result<usize, BrokerError> {
    // The first wakes connections and lets buffers grow.
    probes.once(Shot::up(0, 0))?;
    let nothing = probes.once(Shot::up(0, 0))?.min(probes.once(Shot::up(0, 0))?);
    let mut size = FIRST.0;
    loop {
        // The quicker of two: one that was late for another reason would make the link look slow.
        let took = probes.once(Shot::up(0, size))?.min(probes.once(Shot::up(0, size))?);
        let took = took.saturating_sub(nothing);
        if took >= SHOWS || size >= LARGEST {
            let rate = size as f64 / took.as_secs_f64().max(1e-9);
            probes.bytes_s = rate;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "`as` saturates; a rate is positive"
            )]
            let largest = (rate * LONGEST.as_secs_f64()) as usize;
            return Ok(largest.clamp(SMALLEST * SIZES, LARGEST));
        }
        size = (size * FIRST.1).min(LARGEST);
    }
}

/// Each as many times the one before.
fn sizes_up_to(largest: usize) -> impl Iterator<Item = usize> {
    let factor = (largest as f64 / SMALLEST as f64).powf(1.0 / (SIZES - 1) as f64);
    (0..SIZES).map(move |step| {
        let size = SMALLEST as f64 * factor.powf(step as f64);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between the smallest and the largest"
        )]
        let size = size.round() as usize;
        size
    })
}

fn is_settled(times: &[f64]) -> bool {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |quarter: usize| sorted.get(sorted.len() * quarter / 4).copied().unwrap_or(f64::NAN);
    let width = at(3) - at(1);
    width <= (at(2) * SETTLED).max(SETTLED_MS)
}

/// Milliseconds a byte on the way back.
fn down(probes: &mut Probes<'_>, sizes: &[usize], times: &[Vec<f64>]) -> Result<f64, BrokerError> {
    // The second largest: large enough to tell bytes from delay.
    let (size, up) = match (sizes, times) {
        ([.., size, _], [.., up, _]) => (*size, up),
        _ => return Ok(0.0),
    };
    let rtt_ms = times.first().map_or(0.0, |rtt| Sample::of(rtt).median);
    let shots: Vec<Shot> = (0..*TURNS.start()).map(|turn| Shot::down(turn, size)).collect();
    let took = probes.fire(&shots)?;
    let took: Vec<f64> = took.iter().map(|(_, took)| took.as_secs_f64() * 1e3).collect();
    let mut down_ms = Sample::of(&took).median - rtt_ms;
    if !probes.is_answered {
        // Ours to ourselves: up and down again.
        down_ms -= Sample::of(up).median - rtt_ms;
    }
    Ok(down_ms.max(0.0) / (size as f64).max(1.0))
}

/// Answers probes until told to stop: the other end of [`measure_link`].
///
/// # Errors
/// When the broker does not take or bring messages.
pub fn answer_probes(
    broker: &mut dyn Broker,
    topics: &ProbeTopics,
    mut goes_on: impl FnMut() -> bool,
) -> Result<(), BrokerError> {
    while goes_on() {
        let Some(delivery) = broker.receive(Duration::from_millis(50))? else {
            continue;
        };
        if delivery.message.topic == topics.there {
            let wanted = delivery.message.payload.get(8..12).and_then(|b| b.try_into().ok());
            let wanted = (wanted.map_or(0, u32::from_le_bytes) as usize).min(LARGEST);
            let mut answer = delivery.message.payload.get(..8).unwrap_or_default().to_vec();
            answer.resize(ANSWER_BYTES.max(wanted), 0);
            broker.publish(&Message::new(topics.back.clone(), answer.clone()), PATIENCE)?;
            // A tail answers with two messages, the result and the receipt.
            answer.resize(ANSWER_BYTES, 0);
            broker.publish(&Message::new(topics.back.clone(), answer), PATIENCE)?;
        }
        broker.ack(delivery.token)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dozen_sizes_from_the_smallest_to_the_largest() {
        let sizes: Vec<usize> = sizes_up_to(LARGEST).collect();
        assert_eq!(
            (sizes.len(), sizes.first(), sizes.last()),
            (12, Some(&64), Some(&LARGEST))
        );
        assert!(sizes.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_jumps_about_is_not_settled() {
        assert!(is_settled(&[10.0, 10.1, 10.2]) && is_settled(&[0.10, 0.12, 0.11]));
        assert!(!is_settled(&[10.0, 14.0, 10.1, 18.0]));
        // One that was late does not keep a size open for ever.
        assert!(is_settled(&[10.0, 10.1, 10.05, 10.1, 30.0]));
    }
}
