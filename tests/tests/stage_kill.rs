//! A head or a tail that is killed at any moment costs repeats on the wire and never an input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use kerf_runtime::stage::reader::id_of;
use kerf_tests::kerf_stage;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::random::{Random, seed, soak};
use kerf_tests::stages::{lenet_bundle, picture, stage};

#[test]
fn heads_and_tails_that_are_killed_lose_no_input_and_deliver_each_id_once() {
    let mut random = Random::new(seed(51));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    std::fs::create_dir(at("in")).unwrap();
    let kills = usize::try_from(6 * soak()).unwrap();
    let inputs = kills * 8;
    let mut reader = Running::start(
        kerf_stage()
            .args(["results", "--broker", &broker.url(), "-o"])
            .arg(at("results")),
    );
    reader.wait_for("event=ready");
    let head = || {
        let mut command = stage(&bundle, &broker.url(), "0");
        Running::start(command.arg("--spool-dir").arg(at("spool")).arg("--watch").arg(at("in")))
    };
    let tail = || Running::start(stage(&bundle, &broker.url(), "1").args(["--confirm", "reader"]));
    let (mut a_head, mut a_tail) = (head(), tail());
    for n in 0..inputs {
        // Under another name first: a folder's watcher takes whole files, and a rename makes one.
        std::fs::write(at("part"), picture(random.next())).unwrap();
        std::fs::rename(at("part"), at("in").join(format!("{n:05}.npy"))).unwrap();
        std::thread::sleep(Duration::from_millis(random.below(60) as u64));
        if n % 16 == 7 {
            drop(a_head);
            a_head = head();
        } else if n % 16 == 15 {
            drop(a_tail);
            a_tail = tail();
        }
    }
    eventually("every input put away, which is done when it is answered", || {
        std::fs::read_dir(at("in/done")).is_ok_and(|done| done.count() == inputs)
    });
    drop((a_head, a_tail, reader));
    let text = std::fs::read_to_string(at("results")).unwrap();
    let ids: Vec<_> = text.lines().map(|line| id_of(line.as_bytes()).unwrap()).collect();
    let distinct: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), distinct.len(), "an id was delivered twice");
    assert!(
        distinct.len() >= inputs,
        "{} results for {inputs} inputs",
        distinct.len()
    );
    println!("inputs={inputs} results={} kills={kills}", ids.len());
}
