//! `kerf-stage bench`: how long one part takes on this machine.

use std::time::{Duration, Instant};

use clap::Args;
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::limits::MAX_BENCH_RUNS;
use kerf_runtime::measure::{memory_bytes, peak_resident_bytes};
use kerf_runtime::source::Input;
use kerf_runtime::tensor::Tensor;
use kerf_runtime::wire::{DType, Dim, TensorSpec};

use super::target::{Ready, Target};

mod profile;

/// Measure load, latency and memory of one part or a whole model; one line of JSON on standard output.
///
/// Without --input, every input is filled with the same pseudo-random numbers in each run; open dimensions are 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage bench --model lenet5.onnx
  kerf-stage bench --bundle bundle --part 0 --input photo.jpg --runs 200
  kerf-stage bench --model lenet5.onnx --kernels
  kerf-stage bench --model lenet5.onnx --out board.json      a profile, for kerf plan --edge board.json")]
pub(crate) struct Bench {
    #[command(flatten)]
    target: Target,
    /// An image, .npy, .npz or .frame file
    #[arg(short, long, value_name = "FILE")]
    input: Option<std::path::PathBuf>,
    /// Runs that are measured; with 0 there is the first answer alone
    #[arg(long, value_name = "N", default_value_t = 100)]
    runs: u32,
    /// Runs before them that are not
    #[arg(long, value_name = "N", default_value_t = 10)]
    warmup: u32,
    /// Write a profile of this machine, each kernel timed: what `kerf plan` and `kerf predict` work with
    #[arg(long, value_name = "FILE", conflicts_with = "kernels")]
    out: Option<std::path::PathBuf>,
    /// What you call this machine in the profile; its host name by default
    #[arg(long, value_name = "NAME", requires = "out")]
    machine: Option<String>,
    /// With --out: wait before each run, as a frame now and then finds the machine
    #[arg(long, value_name = "MS", default_value_t = 20.0, requires = "out")]
    pause_ms: f64,
    /// With --out: begin no more runs after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, requires = "out")]
    most: f64,
    /// Also time each kernel that the engine runs, in its order, as a table on standard error
    #[arg(long)]
    kernels: bool,
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let start = Instant::now();
        if self.runs > MAX_BENCH_RUNS || self.warmup > MAX_BENCH_RUNS {
            return Err(Failure::usage(format!(
                "--runs and --warmup take 0 to {MAX_BENCH_RUNS}"
            )));
        }
        if self.out.is_some() {
            return profile::write(self);
        }
        let mut ready = self.target.load()?;
        let load = start.elapsed();
        let input = match &self.input {
            Some(path) => ready.reader.read(path)?,
            None => random(ready.step.inputs())?,
        };
        ready.step.run(&input)?;
        let first = start.elapsed();
        for _ in 0..self.warmup {
            ready.step.run(&input)?;
        }
        let mut times = Vec::with_capacity(self.runs as usize);
        for _ in 0..self.runs {
            times.push(ready.step.run(&input)?.run);
        }
        times.sort_unstable();
        if self.kernels {
            kernels(&mut ready, &input)?;
        }
        let line = serde_json::json!({
            "backend": ready.step.backend(),
            "load_ms": ms(load),
            "first_answer_ms": ms(first),
            "latency_ms_p50": quantile(&times, 0.5).map(ms),
            "latency_ms_p95": quantile(&times, 0.95).map(ms),
            "latency_ms_mean": mean(&times).map(ms),
            "runs": self.runs,
            "memory_bytes_peak": peak_resident_bytes(),
            // Its own, without the pages of the program's file, which the system may drop at any time.
            "memory_bytes_private": memory_bytes("RssAnon"),
        });
        println!("{}", serde_json::to_string(&line).or_exit(Exit::Bug)?);
        Ok(())
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The value below which this share of the sorted times lies (nearest rank); none where there are no times.
fn quantile(sorted: &[Duration], share: f64) -> Option<Duration> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ rank ≤ len")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn mean(times: &[Duration]) -> Option<Duration> {
    let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
    Some(times.iter().sum::<Duration>() / count)
}

fn random(specs: &[TensorSpec]) -> Result<Input, Failure> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut tensors = Vec::new();
    for spec in specs {
        let dim = |dim: &Dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Dynamic => 1,
        };
        let shape: Vec<u32> = spec.shape.iter().map(dim).collect();
        let mut tensor = Tensor::zeros(spec.dtype, &shape).or_exit(Exit::Usage)?;
        if spec.dtype == DType::F32 {
            for x in tensor.as_slice_mut::<f32>() {
                // splitmix64, the upper 24 bits as a fraction.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                *x = (z >> 40) as f32 / (1_u32 << 24) as f32;
            }
        }
        tensors.push((spec.name.to_string(), tensor));
    }
    Ok(Input {
        label: "random".to_owned(),
        tensors,
    })
}

fn kernels(ready: &mut Ready, input: &Input) -> Result<(), Failure> {
    let needed = ready.step.inputs().to_vec();
    let views: Vec<_> = needed
        .iter()
        .filter_map(|spec| input.tensors.iter().find(|(name, _)| *name == spec.name.as_str()))
        .map(|(_, tensor)| tensor.view())
        .collect();
    let Some(session) = ready.step.session() else {
        return Err(Failure::usage("this part passes its inputs on: no kernel runs"));
    };
    for kernel in session.run_timed(&views)? {
        eprintln!(
            "{:>10.1} µs  {:<24} {}",
            kernel.time.as_secs_f64() * 1e6,
            kernel.op,
            kernel.kernel
        );
    }
    Ok(())
}
