//! The fault tests of the links, at full length: the tests of every run, with `KERF_SOAK` times as much of everything.

use anyhow::Result;

use crate::measure::Measure;
use crate::repo::{self, Programs};

/// 10,000 frames and 100 kills of the broker, with and without its session state.
pub(crate) const BROKER_KILL: Measure = Measure {
    name: "broker-kill",
    about: "10,000 frames while mosquitto is killed 100 times, with and without its session state",
    run: |programs| test(programs, "broker_kill", 20),
};

/// 50 kills of the head and 50 of the tail.
pub(crate) const STAGE_KILL: Measure = Measure {
    name: "stage-kill",
    about: "real processes: the head and the tail are killed 51 times each",
    run: |programs| test(programs, "stage_kill", 17),
};

/// Three minutes of a tail ten times slower than its head.
pub(crate) const SLOW_CONSUMER: Measure = Measure {
    name: "slow-consumer",
    about: "three minutes of a tail ten times slower than its head, and the head's memory",
    run: |programs| test(programs, "slow_consumer", 30),
};

/// 100,000 ids, each 1 to 5 times, shuffled, over kills of the reader.
pub(crate) const DUPLICATES: Measure = Measure {
    name: "duplicates",
    about: "100,000 results, each up to five times, shuffled, while the reader is killed",
    run: |programs| test(programs, "duplicate_delivery", 50),
};

/// Every bit of a segment flipped, 30,000 lives that end in a power cut.
pub(crate) const POWER_CUT: Measure = Measure {
    name: "power-cut",
    about: "every bit flipped, and 30,000 lives of a spool with four power cuts each",
    run: |programs| test(programs, "spool_power_cut", 100),
};

/// 1,000 flaps of a link.
pub(crate) const FLAPS: Measure = Measure {
    name: "flaps",
    about: "1,000 flaps of a link: cut, refused, corrupted",
    run: |programs| test(programs, "flaky_link", 125),
};

fn test(programs: &Programs, name: &str, times: u32) -> Result<()> {
    let mut command = repo::cargo();
    command.args(["test", "--package", "kerf-tests", "--test", name, "--", "--nocapture"]);
    command.env("KERF_SOAK", times.to_string());
    command
        .env("KERF_BIN", &programs.kerf)
        .env("KERF_STAGE_BIN", &programs.kerf_stage);
    repo::run(&mut command)
}
