//! A frame that takes longer on its way than a repeat would wait is sent once: the connection lives, so nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::relay::{self, Counting};
use kerf_tests::shaped::{Shape, ShapedLink};

#[test]
fn a_frame_on_its_way_is_not_sent_again() {
    let broker = Mosquitto::start("");
    // 30,000 bytes are 2.4 s at 0.1 Mbit/s; the first repeat is due after one.
    let shape = Shape {
        mbit_s: 0.1,
        rtt: Duration::from_millis(20),
    };
    let link = ShapedLink::start(broker.port(), shape);
    let over = AtomicBool::new(false);
    let (summary, answers) = std::thread::scope(|scope| {
        let connection = relay::connect(&broker.url(), "tail");
        let mut tail = relay::tail(connection, None, Confirm::Stage, relay::inline());
        let over = &over;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                tail.step(Duration::from_millis(50));
            }
        });
        let source = Counting {
            next: 0,
            end: 3,
            bytes: 30_000,
            pause: Duration::ZERO,
        };
        let keep = MemoryKeep::new(1 << 20, WhenFull::RefuseNew);
        let ran = relay::run_head(
            "slow",
            source,
            relay::connect(&link.url(), "slow"),
            keep,
            relay::inline(),
        );
        over.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!((summary.answered, summary.resent), (3, 0));
    let total = answers.iter().filter_map(|answer| answer.total_ms).fold(0.0, f64::max);
    assert!(
        total > 6_000.0,
        "three frames take 7.2 s on this link, the last took {total} ms"
    );
}
