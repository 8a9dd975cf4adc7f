//! What a run costs over the vendor's own C API: both on the same model, input and threads, in turns, in one process.
//!
//! `overhead ENGINE LIBRARY MODEL RUNS` prints one line of JSON; MODEL is a file, or a bundle of which part 0 is run. `cargo xtask bench backends` runs it for each engine.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use kerf_runtime::backend::{self, LoadOptions};
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::measure::random_inputs;
use kerf_runtime::tensor::Tensor;

mod sys;
mod tflite;

/// Runs before the ones that count.
const WARM_UP: usize = 20;

fn main() -> Result<()> {
    // `cargo bench` and `cargo test` hand over flags of their own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [engine, library, model, runs] = arguments.as_slice() else {
        eprintln!("overhead ENGINE LIBRARY MODEL RUNS; see `cargo xtask bench backends`");
        return Ok(());
    };
    let runs: usize = runs.parse().context("RUNS is a number")?;
    let options = LoadOptions {
        library: Some(PathBuf::from(library)),
        threads: Some(1),
        ..LoadOptions::default()
    };
    let backend = backend::named(engine)?;
    let artifact = if Path::new(model).is_dir() {
        let bundle = Bundle::open(Path::new(model))?;
        let artifact = bundle.artifact(0, backend.formats(), None)?;
        artifact.context("the bundle has nothing for this engine")?
    } else {
        open_model(Path::new(model))?
    };
    let mut session = backend.load(artifact.clone(), &options)?;
    let inputs = random_inputs(session.inputs(), 1)?;
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut outputs = vec![Tensor::default(); session.outputs().len()];
    let names = |specs: &[kerf_wire::TensorSpec]| specs.iter().map(|s| s.name.to_string()).collect::<Vec<_>>();
    let (given, made) = (names(session.inputs()), names(session.outputs()));
    let mut bare: Box<dyn FnMut() -> Result<()>> = match engine.as_str() {
        "onnxruntime" => {
            let mut bare = sys::Bare::open(&artifact.contents, &given, &made, &inputs)?;
            Box::new(move || bare.run())
        }
        "openvino" => openvino(&artifact.contents, &inputs)?,
        "tflite" => {
            let mut bare = tflite::Bare::open(Path::new(library), &artifact.contents)?;
            Box::new(move || bare.run())
        }
        other => bail!("{other} has no C API beside it here"),
    };
    let (mut ours_us, mut bare_us) = (Vec::new(), Vec::new());
    for run in 0..runs + WARM_UP {
        let start = Instant::now();
        session.run_into(&views, &mut outputs)?;
        let ours = start.elapsed();
        let start = Instant::now();
        bare()?;
        let own = start.elapsed();
        if run >= WARM_UP {
            ours_us.push(ours.as_secs_f64() * 1e6);
            bare_us.push(own.as_secs_f64() * 1e6);
        }
    }
    println!(
        "{{\"ours_us_p50\": {:.2}, \"bare_us_p50\": {:.2}}}",
        median(&mut ours_us),
        median(&mut bare_us)
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// OpenVINO's inference request with its tensors in place: nothing but `ov_infer_request_infer`.
fn openvino(model: &[u8], inputs: &[Tensor]) -> Result<Box<dyn FnMut() -> Result<()>>> {
    use openvino::{Core, DeviceType, ElementType, RwPropertyKey, Shape, Tensor as Theirs};
    let mut core = Core::new()?;
    for (key, value) in [
        (RwPropertyKey::HintPerformanceMode, "LATENCY"),
        (RwPropertyKey::HintInferencePrecision, "f32"),
        (RwPropertyKey::InferenceNumThreads, "1"),
    ] {
        core.set_property(&DeviceType::CPU, &key, value)?;
    }
    let read = core.read_model_from_buffer(model, None)?;
    let mut compiled = core.compile_model(&read, DeviceType::CPU)?;
    let mut request = compiled.create_infer_request()?;
    for (index, input) in inputs.iter().enumerate() {
        let dims: Vec<i64> = input.shape().iter().map(|dim| i64::from(*dim)).collect();
        let mut tensor = Theirs::new(ElementType::F32, &Shape::new(&dims)?)?;
        tensor.get_raw_data_mut()?.copy_from_slice(input.bytes());
        request.set_input_tensor_by_index(index, &tensor)?;
    }
    Ok(Box::new(move || {
        // Held until the last run.
        let _held = (&core, &compiled);
        Ok(request.infer()?)
    }))
}
