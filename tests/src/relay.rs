//! A head and a tail whose part only passes on, so that a test of the links is about the links.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::backend::RunError;
use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_runtime::broker::topics::Topics;
use kerf_runtime::broker::{Broker, Delivery};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::metrics::Metrics;
use kerf_runtime::source::{Input, Source, SourceError};
use kerf_runtime::stage::envelope::Envelopes;
use kerf_runtime::stage::head::{self, Answer, HeadConfig, HeadLinks, Summary};
use kerf_runtime::stage::keep::Keep;
use kerf_runtime::stage::tail::{BatchConfig, Confirm, Steps, Tail, TailConfig, TailLinks};
use kerf_runtime::stage::{Answerer, Border, Crossing, Part};
use kerf_runtime::step::Leaving;
use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::Codec;
use kerf_wire::result::{Label, Output};
use kerf_wire::{CutId, DType, DeviceId, Digest, TensorRef};

/// Passes its tensors on.
#[derive(Debug)]
pub struct Passing;

impl Part for Passing {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        Ok(Leaving {
            values: input
                .tensors
                .iter()
                .map(|(name, t)| (name.as_str(), t.view()))
                .collect(),
            run: Duration::ZERO,
            exit: None,
        })
    }

    fn backend(&self) -> Option<&'static str> {
        None
    }
}

/// Answers with the number in the tensor's first eight bytes.
#[derive(Debug)]
pub struct Number;

impl Answerer for Number {
    fn answer(&self, outputs: &[(&str, TensorRef<'_>)]) -> (Vec<Label>, Vec<Output>) {
        let output = |(name, tensor): &(&str, TensorRef<'_>)| Output {
            name: (*name).to_owned(),
            dtype: tensor.dtype,
            shape: tensor.shape.to_vec(),
            data: tensor.bytes.first_chunk().map(|b| u64::from_le_bytes(*b).into()),
        };
        (Vec::new(), outputs.iter().map(output).collect())
    }
}

/// Gives tensors that hold 0, 1, 2, … up to `end`, each of `bytes` bytes (at least 8), at least `pause` apart.
#[derive(Debug)]
pub struct Counting {
    /// The next number.
    pub next: u64,
    /// One past the last.
    pub end: u64,
    /// Bytes of a tensor.
    pub bytes: usize,
    /// Time between two.
    pub pause: Duration,
}

impl Source for Counting {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.next == self.end {
            return Ok(None);
        }
        std::thread::sleep(self.pause);
        let length = u32::try_from(self.bytes.max(8)).expect("a tensor below 4 GiB");
        let mut tensor = Tensor::zeros(DType::U8, &[length]).expect("a tensor");
        tensor.bytes_mut()[..8].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        Ok(Some(Input {
            label: (self.next - 1).to_string(),
            tensors: vec![("x".to_owned(), tensor)],
        }))
    }
}

/// The one cut of these tests.
pub const CROSSING: Crossing = Crossing {
    model: Digest([1; 32]),
    cut: CutId([2; 16]),
};

/// The border at that cut: one value, `x`, as it is.
pub fn border() -> Border {
    Border {
        crossing: CROSSING,
        values: vec!["x".to_owned()],
        codecs: vec![Codec::RAW],
        coarser: Vec::new(),
    }
}

/// The topics of these tests.
pub fn topics() -> Topics {
    Topics::new("kerf-test").expect("a prefix")
}

/// A head of this name.
pub fn head_config(device: &str) -> HeadConfig {
    HeadConfig {
        device: DeviceId::new(device).expect("a device's name"),
        topics: topics(),
        onward: border(),
        results: true,
        exits: false,
        confirm: Confirm::Stage,
        warnings: Vec::new(),
        in_flight: None,
    }
}

/// A connection to the broker at this URL.
pub fn connect(url: &str, client: &str) -> MqttBroker {
    let config = MqttConfig::new(url.parse().expect("a URL"), client);
    MqttBroker::connect(config).unwrap_or_else(|why| panic!("{client}: {why}"))
}

/// The next delivery within `wait`; a single [`Broker::receive`] ends early when a connection has come up.
///
/// # Panics
/// When the connection is down after all of `wait`.
pub fn next_delivery(broker: &mut dyn Broker, wait: Duration) -> Option<Delivery> {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match broker.receive(left).expect("the connection is up") {
            None if !left.is_zero() => {}
            delivery => return delivery,
        }
    }
}

/// A tail on this connection, alone or in a share group.
pub fn tail(broker: impl Broker + 'static, share: Option<&str>, confirm: Confirm, envelopes: Envelopes) -> Tail {
    let config = TailConfig {
        confirm,
        ..tail_config(topics(), border())
    };
    linked(broker, share, config, envelopes, Box::new(Passing))
}

/// A tail behind a border, for heads that are processes of their own, with this part.
pub fn tail_of(broker: impl Broker + 'static, before: Border, part: Box<dyn Part>) -> Tail {
    let topics = Topics::new("kerf").expect("a prefix");
    linked(broker, None, tail_config(topics, before), inline(), part)
}

/// A tail of a share group, with this part.
pub fn tail_in_group(
    broker: impl Broker + 'static,
    (topics, before): (Topics, Border),
    part: Box<dyn Part>,
    group: &str,
) -> Tail {
    linked(broker, Some(group), tail_config(topics, before), inline(), part)
}

/// The cut behind a bundle's first part.
pub fn border_of(bundle: &Path) -> Border {
    let bundle = Bundle::open(bundle).expect("a bundle");
    let border = Border::behind(bundle.manifest(), 0).expect("a cut");
    border.expect("a bundle of two parts")
}

fn tail_config(topics: Topics, before: Border) -> TailConfig {
    TailConfig {
        topics,
        part: 1,
        before,
        onward: None,
        confirm: Confirm::Stage,
        warnings: Vec::new(),
        batch: BatchConfig::NONE,
    }
}

fn linked(
    mut broker: impl Broker + 'static,
    share: Option<&str>,
    config: TailConfig,
    envelopes: Envelopes,
    part: Box<dyn Part>,
) -> Tail {
    let Crossing { model, cut } = config.before.crossing;
    let filter = config.topics.frames_filter(&model, &cut, share);
    broker.subscribe(&filter).expect("the tail subscribes");
    let links = TailLinks {
        broker: Box::new(broker),
        envelopes,
        metrics: Arc::default(),
        status: None,
    };
    Tail::new(links, part, Box::new(Number), config)
}

/// How frames travel where all are small enough for the broker.
pub fn inline() -> Envelopes {
    Envelopes::new(None, usize::MAX)
}

/// Runs a head over all of a source; gives what it printed.
pub fn run_head(
    device: &str,
    source: impl Source,
    broker: impl Broker + 'static,
    keep: impl Keep + 'static,
    envelopes: Envelopes,
) -> (Summary, Vec<Answer>) {
    run_head_counted(device, source, broker, keep, envelopes, Arc::default())
}

/// The same, with its counters to look at meanwhile.
pub fn run_head_counted(
    device: &str,
    source: impl Source,
    broker: impl Broker + 'static,
    keep: impl Keep + 'static,
    envelopes: Envelopes,
    metrics: Arc<Metrics>,
) -> (Summary, Vec<Answer>) {
    run_configured(&head_config(device), source, broker, (keep, envelopes), metrics)
}

/// The same, for any border.
pub fn run_head_as(
    config: &HeadConfig,
    source: impl Source,
    broker: impl Broker + 'static,
    keep: impl Keep + 'static,
    envelopes: Envelopes,
) -> (Summary, Vec<Answer>) {
    run_configured(config, source, broker, (keep, envelopes), Arc::default())
}

/// The same, with its counters to look at meanwhile.
pub fn run_configured(
    config: &HeadConfig,
    mut source: impl Source,
    mut broker: impl Broker + 'static,
    (keep, envelopes): (impl Keep + 'static, Envelopes),
    metrics: Arc<Metrics>,
) -> (Summary, Vec<Answer>) {
    head::subscribe(&mut broker, config).expect("the head subscribes");
    let mut answers = Vec::new();
    let summary = head::run(
        &mut source,
        &mut Passing,
        HeadLinks {
            broker: Box::new(broker),
            keep: Box::new(keep),
            envelopes,
            answerer: Box::new(Number),
            metrics,
            status: None,
        },
        config,
        &mut |answer| answers.push(answer),
    );
    (summary, answers)
}

/// Steps a tail until `done`, looking at it at least every 50 ms.
pub fn run_tail(tail: &mut Tail, done: &AtomicBool) -> Steps {
    let mut steps = Steps::default();
    while !done.load(Ordering::Acquire) {
        steps += tail.step(Duration::from_millis(50));
    }
    steps
}

/// The number that an answer holds.
///
/// # Panics
/// When it holds none.
pub fn number(answer: &Answer) -> u64 {
    let data = answer.result.outputs.first().and_then(|o| o.data.as_ref());
    data.and_then(serde_json::Value::as_u64)
        .expect("a number in the answer")
}

/// Each number below `count` exactly once, and each under the input that it came from.
///
/// # Panics
/// When one is missing, doubled or under another's name.
pub fn assert_each_once(answers: &[Answer], count: u64) {
    let mut numbers: Vec<u64> = answers.iter().map(number).collect();
    for answer in answers {
        assert_eq!(
            answer.input.as_deref(),
            Some(number(answer).to_string().as_str()),
            "an answer to another input"
        );
    }
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..count).collect();
    assert_eq!(numbers, expected, "lost or repeated");
}
