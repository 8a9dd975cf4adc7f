//! What it costs to move messages over a broker: sizes from small to large, there and back.
//!
//! Owns: what is sent when, and the line through what was measured. Must not know: models, plans.
//! Start at [`measure_link`]. The topics are those of a head and a tail, so an access list that lets these two work lets this work.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kerf_wire::profile::{LinkPoint, Sample};

use crate::broker::{Broker, BrokerError, Message};

/// Length of what the other end answers with.
const ANSWER_BYTES: usize = 64;
/// Waited before each, as a frame now and then finds the machines.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_mins(2);
/// A size is sent no more often than this.
const MOST_REPEATS: usize = 15;
/// A size is sent at least this often.
const LEAST_REPEATS: usize = 3;

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
    /// Sizes upwards, small to large.
    pub sizes: Vec<usize>,
    /// No size is begun after this; a size that would take longer than this divided by four is left out.
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

/// Sends each size again and again and waits for its answer.
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
    let mut probe = Probe {
        broker,
        topics,
        is_answered: plan.is_answered,
        next: 0,
    };
    let begun = Instant::now();
    let rtt_ms = probe.sample(0, 0, MOST_REPEATS * 2, plan.most / 4)?;
    let mut up: Vec<LinkPoint> = Vec::new();
    for (done, &size) in plan.sizes.iter().enumerate() {
        if begun.elapsed() > plan.most / 2 && up.len() >= 2 || too_long(&up, size, plan.most) {
            break;
        }
        up.push(LinkPoint {
            bytes: size as u64,
            ms: probe.sample(size, 0, MOST_REPEATS, plan.most / 24)?,
        });
        progress(done + 1, plan.sizes.len());
    }
    let line = Line::through(&up);
    let largest = up.last().map_or(0, |point| point.bytes);
    let down = usize::try_from(largest).unwrap_or(0);
    let down_ms = if plan.is_answered {
        probe.sample(0, down, LEAST_REPEATS, plan.most / 8)?.median
    } else {
        // Ours to ourselves: up and down again.
        probe.echo(down)?.median - line.slope * down as f64
    };
    let down_ms_byte = (down_ms - rtt_ms.median).max(0.0) / (down as f64).max(1.0);
    Ok(MeasuredLink {
        frame_ms: (line.base - rtt_ms.median).max(0.0),
        rtt_ms,
        noise: line.noise(&up),
        up,
        up_ms_byte: line.slope,
        down_ms_byte,
    })
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
        let Some(delivery) = broker.receive(Duration::from_millis(200))? else {
            continue;
        };
        if delivery.message.topic == topics.there {
            let wanted = delivery.message.payload.get(8..12).and_then(|b| b.try_into().ok());
            let wanted = wanted.map_or(0, u32::from_le_bytes) as usize;
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

/// One that would take over a quarter of all the time by the two largest before it.
fn too_long(up: &[LinkPoint], size: usize, most: Duration) -> bool {
    let [.., a, b] = up else { return false };
    let slope = (b.ms.median - a.ms.median) / (b.bytes.saturating_sub(a.bytes) as f64).max(1.0);
    let ms = b.ms.median + slope * (size as u64).saturating_sub(b.bytes) as f64;
    ms > most.as_secs_f64() * 1e3 / 4.0
}

struct Probe<'a> {
    broker: &'a mut dyn Broker,
    topics: &'a ProbeTopics,
    is_answered: bool,
    next: u64,
}

impl Probe<'_> {
    fn sample(&mut self, up: usize, down: usize, most: usize, time: Duration) -> Result<Sample, BrokerError> {
        let (begun, mut times) = (Instant::now(), Vec::new());
        // The first warms up: buffers grow, connections wake.
        for round in 0..=most {
            if round > LEAST_REPEATS && begun.elapsed() > time {
                break;
            }
            let took = self.once(up, down)?;
            if round > 0 {
                times.push(took.as_secs_f64() * 1e3);
            }
        }
        Ok(Sample::of(&times))
    }

    fn once(&mut self, up: usize, down: usize) -> Result<Duration, BrokerError> {
        self.next += 1;
        let token = self.next.to_le_bytes();
        let mut payload = token.to_vec();
        payload.extend(u32::try_from(down).unwrap_or(u32::MAX).to_le_bytes());
        let length = up.max(payload.len());
        payload.resize(length, 0x5A);
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        self.publish(&self.topics.there.clone(), payload.into())?;
        if !self.is_answered {
            let mut marker = token.to_vec();
            marker.resize(ANSWER_BYTES, 0);
            self.publish(&self.topics.back.clone(), marker.into())?;
        }
        for _ in 0..=usize::from(self.is_answered) {
            self.wait_for(&token)?;
        }
        Ok(start.elapsed())
    }

    fn echo(&mut self, length: usize) -> Result<Sample, BrokerError> {
        let mut times = Vec::new();
        for _ in 0..LEAST_REPEATS {
            self.next += 1;
            let token = self.next.to_le_bytes();
            let mut payload = token.to_vec();
            payload.resize(length.max(ANSWER_BYTES), 0);
            let start = Instant::now();
            self.publish(&self.topics.back.clone(), payload.into())?;
            self.wait_for(&token)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Sample::of(&times))
    }

    fn publish(&mut self, topic: &str, payload: Bytes) -> Result<(), BrokerError> {
        if self.broker.publish(&Message::new(topic, payload), PATIENCE)? {
            return Ok(());
        }
        Err(nobody(format!("it took nothing for {PATIENCE:?}")))
    }

    fn wait_for(&mut self, token: &[u8]) -> Result<(), BrokerError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(nobody(format!("no answer to a probe within {PATIENCE:?}")));
            }
            let Some(delivery) = self.broker.receive(left)? else {
                continue;
            };
            let is_ours = delivery.message.payload.starts_with(token);
            self.broker.ack(delivery.token)?;
            if is_ours {
                return Ok(());
            }
        }
    }
}

fn nobody(why: String) -> BrokerError {
    BrokerError::Unreachable {
        broker: "the broker".to_owned(),
        why,
    }
}

/// Milliseconds over bytes.
#[derive(Debug, Clone, Copy)]
struct Line {
    base: f64,
    slope: f64,
}

impl Line {
    /// Least squares of the relative error: small messages count as much as large ones.
    fn through(points: &[LinkPoint]) -> Self {
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

    fn noise(self, points: &[LinkPoint]) -> f64 {
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
