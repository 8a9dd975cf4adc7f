//! Every kind of program that is flashed: built, weighed, run under emulation.
//!
//! Owns: which target stands for which kind. Must not know: how a program is built or what its answers must be.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::build;
use crate::emulate::{self, Machine};
use crate::setup;
use crate::target::{self, Glibc, Target};
use crate::toolchain;

/// Fully static, each with the emulator of its processor where it is not a PC's.
const STATIC: [(&str, Option<&str>); 3] = [
    ("cloud-amd64", None),
    ("raspberry-pi-4", Some("qemu-aarch64-static")),
    ("raspberry-pi-4-32bit", Some("qemu-arm-static")),
];
/// With a floor of glibc: a vendor's library beside tract, and one alone.
const LINKED: [&str; 2] = ["jetson-nano", "coral-dev-board"];
const MACHINES: [Machine; 2] = [Machine::Thumb, Machine::Aarch64];
/// No board has an older one.
const OLDEST_GLIBC: &str = "2.17";

pub(super) fn run() -> Result<()> {
    let mut lines = Vec::new();
    let mut stages = Vec::new();
    for (name, emulator) in STATIC {
        let (program, line) = built(&target::named(name)?)?;
        lines.push(line);
        stages.push(with_emulator(&program, emulator));
    }
    for name in LINKED {
        lines.push(built(&target::named(name)?)?.1);
    }
    lines.push(built(&linked_against_the_oldest()?)?.1);
    setup::vendors_for("aarch64")?;
    let variables = [
        ("KERF_STATIC_STAGES", stages.join(OsStr::new(","))),
        ("KERF_EMULATED_VENDORS", "1".into()),
    ];
    for machine in MACHINES {
        emulate::prepare(machine, false)?;
    }
    emulate::these(&MACHINES, &variables)?;
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

fn built(target: &Target) -> Result<(PathBuf, String)> {
    let (program, needs) = build::build(target, toolchain::way_here()?)?;
    Ok((program, build::described(target, &needs)))
}

/// `EMULATOR:PROGRAM`, or the program alone.
fn with_emulator(program: &Path, emulator: Option<&str>) -> OsString {
    let mut pair = emulator.map(|name| format!("/usr/bin/{name}:")).unwrap_or_default();
    pair.push_str(&program.to_string_lossy());
    pair.into()
}

/// The Coral board's program with an older floor than any board needs.
fn linked_against_the_oldest() -> Result<Target> {
    let mut target = target::named("coral-dev-board")?;
    target.name = format!("glibc-{OLDEST_GLIBC}");
    target.file.build.glibc = Glibc::parse(OLDEST_GLIBC);
    Ok(target)
}
