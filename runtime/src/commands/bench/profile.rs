//! `kerf-stage bench --out`: a profile of this machine, as `kerf profile` writes one.

use std::path::Path;
use std::time::{Duration, Instant};

use kerf_runtime::backend;
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::measure;
use kerf_runtime::tensor::Tensor;
use kerf_runtime::wire::TensorRef;
use kerf_runtime::wire::profile::{Machine, MeasuredModel, Profile};

use super::Bench;

/// Measures and writes; one line of JSON on standard output says what was found.
pub(super) fn write(bench: Bench) -> Result<(), Failure> {
    let (Some(out), Some(file)) = (bench.out, bench.target.model().map(Path::to_owned)) else {
        return Err(Failure::usage(
            "--out needs --model FILE: a profile is of a whole model",
        ));
    };
    let seconds =
        |name: &str, s: f64| Duration::try_from_secs_f64(s).map_err(|why| Failure::usage(format!("{name} {s}: {why}")));
    let plan = measure::Plan {
        warm_up: bench.warmup,
        runs: bench.runs,
        most: seconds("--most", bench.most)?,
        pause: seconds("--pause-ms", bench.pause_ms * 1e-3)?,
        ..measure::Plan::default()
    };
    let load = measure::background_load();
    let start = Instant::now();
    let mut ready = bench.target.load()?;
    let loaded = start.elapsed();
    let name = ready.step.backend().unwrap_or_default();
    let device = backend::named(name).or_exit(Exit::Bug)?.check(&ready.options)?;
    let inputs = match &bench.input {
        Some(path) => ready.reader.read(path)?.tensors,
        None => super::random(ready.step.inputs())?.tensors,
    };
    let needed = ready.step.inputs().to_vec();
    let views: Vec<TensorRef<'_>> = needed
        .iter()
        .filter_map(|spec| inputs.iter().find(|(name, _)| *name == spec.name.as_str()))
        .map(|(_, tensor): &(String, Tensor)| tensor.view())
        .collect();
    let threads = ready.options.threads;
    let Some(session) = ready.step.session() else {
        return Err(Failure::usage("this model passes its inputs on: nothing runs"));
    };
    let measured = measure::measure(session, &views, &plan, |_| ())?;
    let machine = Machine {
        name: bench.machine.unwrap_or_else(host_name),
        device: device.device,
        backend: name.to_owned(),
        version: device.version,
        threads,
        background_load: load,
    };
    let model = MeasuredModel {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: ready.model,
        bytes: std::fs::metadata(&file).or_exit(Exit::Usage)?.len(),
    };
    let tool = concat!("kerf-stage ", env!("CARGO_PKG_VERSION"));
    let profile = measure::profile(tool, machine, model, loaded, &measured);
    write_whole(&out, &profile)?;
    let line = serde_json::json!({
        "backend": name,
        "load_ms": profile.load_ms,
        "latency_ms_p50": profile.run_ms.median,
        "latency_ms_p95": profile.run_ms.p95,
        "runs": profile.run_ms.runs,
        "runs_disturbed": measured.disturbed,
        "kernels": profile.kernels.len(),
        "memory_bytes_peak": profile.memory_bytes,
        "out": out.display().to_string(),
    });
    println!("{line}");
    Ok(())
}

/// The file is there whole or not at all.
fn write_whole(out: &Path, profile: &Profile) -> Result<(), Failure> {
    let text = profile.to_json().or_exit(Exit::Bug)?;
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = out.with_file_name(name);
    let doing = || format!("writing {}", out.display());
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, out))
        .or_exit(Exit::DiskFull)
        .map_err(|why| why.context(doing()))
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "this machine".to_owned(),
        name => name.to_owned(),
    }
}
