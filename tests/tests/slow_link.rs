//! A frame that takes long on its way is sent once, over one connection: the link lives, so nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_runtime::stage::head::{Answer, Summary};
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::relay::{self, Counting};
use kerf_tests::shaped::{Shape, ShapedLink};

/// A head behind a line of this speed, its keep-alive this long, sends frames of so many bytes.
fn over_a_line(mbit_s: f64, keep_alive: Duration, frames: u64, bytes: usize) -> (Summary, Vec<Answer>) {
    let broker = Mosquitto::start("");
    let rtt = Duration::from_millis(20);
    let link = ShapedLink::start(broker.port(), Shape { mbit_s, rtt });
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
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
            end: frames,
            bytes,
            pause: Duration::ZERO,
        };
        let keep = MemoryKeep::new(1 << 20, WhenFull::RefuseNew);
        let config = MqttConfig {
            keep_alive,
            ..MqttConfig::new(link.url().parse().unwrap(), "slow")
        };
        let connection = MqttBroker::connect(config).unwrap();
        let ran = relay::run_head("slow", source, connection, keep, relay::inline());
        over.store(true, Ordering::Relaxed);
        ran
    })
}

fn longest_ms(answers: &[Answer]) -> f64 {
    answers.iter().filter_map(|answer| answer.total_ms).fold(0.0, f64::max)
}

#[test]
fn a_frame_on_its_way_is_not_sent_again() {
    // 30,000 bytes are 2.4 s at 0.1 Mbit/s; the first repeat is due after one.
    let (summary, answers) = over_a_line(0.1, Duration::from_secs(10), 3, 30_000);
    assert_eq!((summary.answered, summary.resent), (3, 0));
    let total = longest_ms(&answers);
    assert!(
        total > 6_000.0,
        "three frames take 7.2 s on this link, the last took {total} ms"
    );
}

#[test]
fn a_frame_that_takes_three_keep_alives_does_not_end_its_connection() {
    // 187,500 bytes are 15 s at 0.1 Mbit/s. A new connection would send the frame again.
    let (summary, answers) = over_a_line(0.1, Duration::from_secs(5), 1, 187_500);
    assert_eq!((summary.answered, summary.resent), (1, 0));
    let total = longest_ms(&answers);
    assert!(
        total > 14_000.0,
        "the frame takes 15 s on this link, it took {total} ms"
    );
}
