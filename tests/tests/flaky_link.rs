//! A link that is cut, half open or slow costs repeats, never a frame, and is noticed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_runtime::broker::{Broker, BrokerError};
use kerf_runtime::metrics::Metrics;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::eventually;
use kerf_tests::proxy::{Proxy, Weather};
use kerf_tests::random::{Random, seed, soak};
use kerf_tests::relay::{Counting, assert_each_once, connect, inline, run_head_counted, run_tail, tail};

#[test]
fn a_link_that_flaps_loses_no_frame() {
    let seed = seed(41);
    let mut random = Random::new(seed);
    let broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port(), seed);
    let url = format!("mqtt://127.0.0.1:{}", proxy.port());
    let frames = 300 * soak();
    let source = Counting {
        next: 0,
        end: frames,
        bytes: 2000,
        pause: Duration::from_millis(3),
    };
    let mut tail = tail(connect(&broker.url(), "tail"), None, Confirm::Stage, inline());
    let head_link = connect(&url, "head");
    let done = AtomicBool::new(false);
    let metrics = Arc::new(Metrics::default());
    let answers = std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let keep = MemoryKeep::new(16 << 20, WhenFull::RefuseNew);
            let outcome = run_head_counted("cam", source, head_link, keep, inline(), Arc::clone(&metrics));
            done.store(true, Ordering::Release);
            outcome.1
        });
        let tail = scope.spawn(|| run_tail(&mut tail, &done));
        // A head tells a link that fails at its start, and ends.
        eventually("the head's first frame", || metrics.accepted.value() > 0);
        for _ in 0..8 * soak() {
            std::thread::sleep(Duration::from_millis(50 + random.below(80) as u64));
            match random.below(3) {
                0 => proxy.cut(),
                1 => {
                    proxy.set(Weather::Refuse);
                    proxy.cut();
                }
                // MQTT has no checksum of its own: the frame's must find it.
                _ => proxy.set(Weather::Corrupt(40)),
            }
            std::thread::sleep(Duration::from_millis(random.below(80) as u64));
            proxy.set(Weather::Fair);
            // What was damaged may have left the two sides at odds about where a packet ends.
            proxy.cut();
        }
        let answers = head.join().unwrap();
        tail.join().unwrap();
        answers
    });
    assert_each_once(&answers, frames);
}

#[test]
fn a_half_open_link_is_noticed_within_one_and_a_half_keep_alives() {
    let broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port(), 1);
    let mut config = MqttConfig::new(format!("mqtt://127.0.0.1:{}", proxy.port()).parse().unwrap(), "head");
    config.keep_alive = Duration::from_secs(5);
    let mut link = MqttBroker::connect(config).unwrap();
    proxy.set(Weather::Blackhole);
    let begun = Instant::now();
    let noticed = loop {
        match link.receive(Duration::from_millis(100)) {
            Err(why) => break why,
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(10), "not noticed"),
        }
    };
    let took = begun.elapsed();
    assert!(matches!(noticed, BrokerError::Unreachable { .. }), "{noticed}");
    assert!(took <= Duration::from_millis(7600), "noticed after {took:?}");
}
