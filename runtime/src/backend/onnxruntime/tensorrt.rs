//! TensorRT, through ONNX Runtime: engines for one GPU, built at the first start and kept.
//!
//! Owns: the backend `tensorrt`, its options, and the wait while an engine is built. Its rooms: `cache` keeps engines and
//! knows for which machine they are, `progress` says that a build goes on.

use kerf_wire::manifest::Format;
use kerf_wire::{Dim, TensorSpec};
use ort::ep;

use super::device::Device;
use super::engine;
use crate::backend::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, Session, Verified};
use crate::limits::MAX_TENSORRT_BATCH;
use crate::tensor::Tensor;

mod cache;
mod progress;

/// Its name in manifests.
const NAME: &str = "tensorrt";

/// ONNX Runtime with TensorRT. Devices: `GPU` (default), `GPU:1`, and `DLA:0` (a Jetson's deep-learning accelerator; what
/// that lacks TensorRT runs on the GPU).
#[derive(Debug)]
pub struct TensorRt;

impl Backend for TensorRt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        let provider = provider(options)?;
        // Registering is the only question that has an honest answer: "available" only says "compiled with".
        engine::prepare(NAME, options, &Device::TensorRt(Box::new(provider))).map(|(info, _)| info)
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let mut provider = provider(options)?;
        let refused = |why: String| BackendError::Refused {
            backend: NAME,
            artifact: artifact.path.clone(),
            why,
        };
        if let Some(dir) = &options.cache_dir {
            let info = self.check(options)?;
            let folder = cache::folder(dir, &artifact, options);
            cache::prepare(&folder, &cache::machine(&info.version))
                .map_err(|why| refused(format!("engine cache {}: {why}", folder.display())))?;
            let folder = folder.to_string_lossy().into_owned();
            provider = provider
                .with_engine_cache(true)
                .with_engine_cache_path(&folder)
                .with_timing_cache(true)
                .with_timing_cache_path(&folder);
        }
        if let Some([min, opt, max]) = artifact.signature.as_ref().and_then(|told| profiles(&told.inputs)) {
            provider = provider
                .with_profile_min_shapes(min)
                .with_profile_opt_shapes(opt)
                .with_profile_max_shapes(max);
        }
        let building = progress::Progress::start(NAME);
        let mut session = engine::open(NAME, &artifact, options, Device::TensorRt(Box::new(provider)))?;
        // The first run builds what loading has left: it belongs to the start, not to the first frame.
        warm_up(&mut session).map_err(refused)?;
        building.done();
        Ok(Box::new(session))
    }
}

/// The execution provider that the options name.
fn provider(options: &LoadOptions) -> Result<ep::TensorRT, BackendError> {
    let no = |option: String| BackendError::Option { backend: NAME, option };
    let mut provider = ep::TensorRT::default();
    let name = options.device.as_deref().unwrap_or("GPU");
    let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
    let number = number.parse::<u16>();
    provider = match (kind, number) {
        ("GPU", Ok(number)) => provider.with_device_id(i32::from(number)),
        ("DLA", Ok(core)) => provider.with_dla(true).with_dla_core(u32::from(core)),
        _ => return Err(no(format!("device {name:?}: it has GPU, GPU:N and DLA:N"))),
    };
    match options.precision.as_deref() {
        None | Some("f32") => Ok(provider),
        Some("f16") => Ok(provider.with_fp16(true)),
        Some("int8") => Ok(provider.with_int8(true)),
        Some(other) => Err(no(format!("precision {other:?}: it has f32, f16 and int8"))),
    }
}

/// Smallest, usual and largest shapes of inputs whose batch is open; none where nothing or something else is open.
fn profiles(inputs: &[TensorSpec]) -> Option<[String; 3]> {
    let is_open = |dim: &Dim| *dim == Dim::Dynamic;
    let batch_only = |spec: &TensorSpec| !spec.shape.iter().skip(1).any(is_open);
    let any = inputs.iter().any(|spec| spec.shape.first().is_some_and(is_open));
    if !any || !inputs.iter().all(batch_only) {
        return None;
    }
    let shapes = |batch: u32| {
        let one = |spec: &TensorSpec| {
            let dim = |dim: &Dim| match dim {
                Dim::Fixed(n) => n.to_string(),
                Dim::Dynamic => batch.to_string(),
            };
            let dims: Vec<String> = spec.shape.iter().map(dim).collect();
            format!("{}:{}", spec.name, dims.join("x"))
        };
        inputs.iter().map(one).collect::<Vec<_>>().join(",")
    };
    Some([shapes(1), shapes(1), shapes(MAX_TENSORRT_BATCH)])
}

fn warm_up(session: &mut dyn Session) -> Result<(), String> {
    let zeros = |spec: &TensorSpec| {
        let dim = |dim: &Dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Dynamic => 1,
        };
        Tensor::zeros(spec.dtype, &spec.shape.iter().map(dim).collect::<Vec<u32>>())
    };
    let inputs = session.inputs().iter().map(zeros).collect::<Result<Vec<_>, _>>();
    let inputs = inputs.map_err(|why| why.to_string())?;
    let mut outputs = vec![Tensor::default(); session.outputs().len()];
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    session.run_into(&views, &mut outputs).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use kerf_wire::DType;

    #[test]
    fn an_open_batch_gets_a_profile_and_another_open_axis_none() {
        let spec = |name, dims: Vec<Dim>| TensorSpec::new(name, DType::F32, dims).unwrap();
        let open = spec("x", vec![Dim::Dynamic, Dim::Fixed(3), Dim::Fixed(8)]);
        let fixed = spec("y", vec![Dim::Fixed(1), Dim::Fixed(4)]);
        let [min, opt, max] = profiles(&[open.clone(), fixed.clone()]).unwrap();
        assert_eq!((min.as_str(), opt.as_str()), ("x:1x3x8,y:1x4", "x:1x3x8,y:1x4"));
        assert_eq!(max, format!("x:{MAX_TENSORRT_BATCH}x3x8,y:1x4"));
        assert!(profiles(&[fixed]).is_none());
        assert!(profiles(&[open, spec("z", vec![Dim::Fixed(1), Dim::Dynamic])]).is_none());
    }

    #[test]
    fn an_option_that_it_has_not_is_refused() {
        let told = |device: &str, precision: &str| LoadOptions {
            device: Some(device.to_owned()),
            precision: Some(precision.to_owned()),
            ..LoadOptions::default()
        };
        for (device, precision) in [("GPU", "f16"), ("GPU:1", "int8"), ("DLA:1", "f32")] {
            assert!(provider(&told(device, precision)).is_ok(), "{device} {precision}");
        }
        for (device, precision) in [("CPU", "f32"), ("GPU:x", "f32"), ("DLA:-1", "f16"), ("GPU", "bf16")] {
            let refused = provider(&told(device, precision));
            assert!(
                matches!(refused, Err(BackendError::Option { .. })),
                "{device} {precision}"
            );
        }
    }
}
