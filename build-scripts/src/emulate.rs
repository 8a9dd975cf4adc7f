//! `cargo xtask emulate`: other processors, in every CI run, under qemu.
//!
//! Owns: what is run on which emulated machine. Compilers come from [`crate::toolchain`].
//! Must not know: what the tests test.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::repo;
use crate::setup;
use crate::test;
use crate::toolchain;

/// Runs wire on a Cortex-M4, and wire, runtime and a head on a 64-bit Arm, all emulated.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which machines; all where none is named.
    #[arg(value_enum)]
    machines: Vec<Machine>,
    /// Do not install what is missing; fail with its name.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Machine {
    /// A microcontroller: Cortex-M4, no operating system, no allocator.
    Thumb,
    /// A board: 64-bit Arm Linux.
    Aarch64,
}

const AARCH64: &str = "aarch64-unknown-linux-gnu";
/// Quick to compile: an emulated processor is slow whatever the compiler does.
const PROFILE: &str = "emulated";
const FEATURES: &str = "kerf-wire/std,kerf-runtime/s3,kerf-runtime/tls,kerf-runtime/http,kerf-runtime/onnxruntime,\
                        kerf-runtime/openvino,kerf-runtime/tflite";
const THUMB: &str = "thumbv7em-none-eabihf";
/// A Raspberry Pi 4's, whatever else qemu could do: its SVE, which tract's kernels would take, is fifteen times slower.
const QEMU_CPU: &str = "cortex-a72";
/// Without -L: with it every threaded test binary spins for ever.
const QEMU_AARCH64: &str = "qemu-aarch64-static";

impl Machine {
    /// Debian packages beside Rust's own.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Thumb => &["binutils-arm-none-eabi", "qemu-system-arm"],
            Self::Aarch64 => &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"],
        }
    }

    fn triple(self) -> &'static str {
        match self {
            Self::Thumb => THUMB,
            Self::Aarch64 => AARCH64,
        }
    }

    fn folder(self) -> Result<PathBuf> {
        Ok(repo::target_folder()?.join("emulated").join(self.triple()))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let all = [Machine::Thumb, Machine::Aarch64];
    let machines = if arguments.machines.is_empty() {
        &all[..]
    } else {
        &arguments.machines
    };
    for machine in machines {
        prepare(*machine, arguments.offline)?;
    }
    these(machines, &[])
}

/// Builds and runs on these machines; the head's tests get these variables.
///
/// # Errors
/// When a build or a test fails.
pub(crate) fn these(machines: &[Machine], variables: &[(&str, OsString)]) -> Result<()> {
    for machine in machines {
        match machine {
            Machine::Thumb => thumb()?,
            Machine::Aarch64 => aarch64(variables)?,
        }
    }
    Ok(())
}

/// Installs what a machine needs and this one lacks, and says so first.
///
/// # Errors
/// When `offline` and something is missing, or an installation fails.
pub(crate) fn prepare(machine: Machine, offline: bool) -> Result<()> {
    let mut missing = setup::missing(machine.packages().iter().copied());
    missing.extend(toolchain::packages(machine.triple()));
    if offline && !missing.is_empty() {
        bail!("missing packages: {}", missing.join(" "));
    }
    setup::install(&missing)
}

/// Builds for a machine in a folder of its own: another compiler would undo what the host's has built.
fn cargo(machine: Machine, sub_command: &str) -> Result<Command> {
    let mut cargo = toolchain::cargo(machine.triple())?;
    cargo
        .arg(sub_command)
        .args(["--target", machine.triple()])
        .arg("--target-dir")
        .arg(machine.folder()?);
    Ok(cargo)
}

fn thumb() -> Result<()> {
    let mut build = cargo(Machine::Thumb, "build")?;
    build.args([
        "--release",
        "--locked",
        "--manifest-path",
        "tests/microcontroller/Cargo.toml",
    ]);
    if toolchain::std_from_source(THUMB)? {
        build.arg("-Zbuild-std=core");
    }
    build.env("CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER", "arm-none-eabi-ld");
    build.env("CARGO_TARGET_THUMBV7EM_NONE_EABIHF_RUSTFLAGS", "-Clinker-flavor=ld");
    repo::run(&mut build)?;
    let program = Machine::Thumb
        .folder()?
        .join(THUMB)
        .join("release/kerf-microcontroller");
    let mut qemu = repo::command("qemu-system-arm");
    qemu.args(["-M", "mps2-an386", "-cpu", "cortex-m4", "-nographic"]);
    qemu.args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(program);
    repo::run(qemu.stdin(Stdio::null()))
}

/// wire's and runtime's whole suites on the emulated board, then a head there and a tail here.
fn aarch64(variables: &[(&str, OsString)]) -> Result<()> {
    let on_board = |sub_command| -> Result<Command> {
        let mut cargo = cargo(Machine::Aarch64, sub_command)?;
        cargo.args(["--locked", "--profile", PROFILE]);
        cargo.args(["--package", "kerf-wire", "--package", "kerf-runtime"]);
        cargo.args(["--features", FEATURES]);
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
        cargo.env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc");
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", QEMU_AARCH64);
        cargo.env("QEMU_CPU", QEMU_CPU).env("KERF_EMULATOR", QEMU_AARCH64);
        Ok(cargo)
    };
    let mut tests = on_board("test")?;
    tests.args(["--lib", "--bins", "--tests"]);
    test::run_cargo_tests(&mut tests)?;
    // The same build graph as the tests', so that only linking is left.
    repo::run(on_board("build")?.arg("--bins"))?;
    let stage = Machine::Aarch64
        .folder()?
        .join(AARCH64)
        .join(PROFILE)
        .join("kerf-stage");
    ensure!(stage.is_file(), "{} was not built", stage.display());
    let mut variables = variables.to_vec();
    variables.push(("KERF_EMULATOR", QEMU_AARCH64.into()));
    variables.push(("KERF_EMULATED_STAGE_BIN", stage.into()));
    answers(&variables).context("the head under qemu")
}

/// The tests of boards' programs, which are named by variables.
///
/// # Errors
/// When a build or a test fails.
fn answers(variables: &[(&str, OsString)]) -> Result<()> {
    // The workspace's own build graph, as `cargo xtask test` leaves it: nothing is compiled twice.
    repo::run(repo::cargo().args(["build", "--workspace", "--all-targets"]))?;
    let programs = repo::programs(repo::Profile::Dev)?;
    let mut tests = repo::cargo();
    tests.args(["test", "--workspace", "--test", "emulated"]);
    tests
        .env("KERF_BIN", programs.kerf)
        .env("KERF_STAGE_BIN", programs.kerf_stage)
        .env("QEMU_CPU", QEMU_CPU)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    if let Some(python) = setup::python() {
        tests.env("KERF_TEST_PYTHON", python);
    }
    test::run_cargo_tests(&mut tests)
}
