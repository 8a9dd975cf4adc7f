//! Where the manifest allows a coarser codec, frames get shorter while the link is behind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_runtime::metrics::Metrics;
use kerf_runtime::source::{Input, Source, SourceError};
use kerf_runtime::stage::Border;
use kerf_runtime::stage::head::HeadConfig;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_runtime::tensor::Tensor;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::relay;
use kerf_tests::shaped::{Shape, ShapedLink};
use kerf_wire::codec::Codec;

/// So many tensors of 7,500 floats, this far apart.
struct Floats {
    left: u32,
    pause: Duration,
}

impl Source for Floats {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        std::thread::sleep(self.pause);
        let elements: Vec<f32> = (0..7500_u16).map(|i| f32::from(i) * 0.01).collect();
        Ok(Some(Input {
            label: left.to_string(),
            tensors: vec![("x".to_owned(), Tensor::from_f32(&[7500], &elements).unwrap())],
        }))
    }
}

#[test]
fn frames_are_coarser_while_the_link_is_behind_and_fine_before() {
    const FRAMES: u32 = 40;
    let broker = Mosquitto::start("");
    // 30,000 bytes are 0.6 s on this line and come every 0.25 s; a quarter of them, 0.15 s.
    let shape = Shape {
        mbit_s: 0.4,
        rtt: Duration::from_millis(20),
    };
    let link = ShapedLink::start(broker.port(), shape);
    let over = AtomicBool::new(false);
    let metrics: std::sync::Arc<Metrics> = std::sync::Arc::default();
    let (summary, answers) = std::thread::scope(|scope| {
        let mut tail = relay::tail(
            relay::connect(&broker.url(), "tail"),
            None,
            Confirm::Stage,
            relay::inline(),
        );
        let over = &over;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                tail.step(Duration::from_millis(50));
            }
        });
        let config = HeadConfig {
            onward: Border {
                coarser: vec![Codec::plain("int8".parse().unwrap())],
                ..relay::border()
            },
            ..relay::head_config("slow")
        };
        let source = Floats {
            left: FRAMES,
            pause: Duration::from_millis(250),
        };
        let keep = MemoryKeep::new(4 << 20, WhenFull::RefuseNew);
        let connection = relay::connect(&link.url(), "slow");
        let ran = relay::run_configured(&config, source, connection, (keep, relay::inline()), metrics.clone());
        over.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!((summary.answered, summary.refused), (u64::from(FRAMES), 0));
    let coarse: Vec<bool> = answers.iter().map(|answer| answer.frame_bytes < 10_000).collect();
    let count = coarse.iter().filter(|c| **c).count();
    assert_eq!(
        metrics.coarser.value(),
        count as u64,
        "the counter is of other frames: {coarse:?}"
    );
    // The first second is fine, then it is behind; held for 16 frames at least, so there are few changes.
    assert!(!coarse[0] && !coarse[1] && count >= 16, "{coarse:?}");
    let changes = coarse.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 3, "{changes} changes: {coarse:?}");
}
