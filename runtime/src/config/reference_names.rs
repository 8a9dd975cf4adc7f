//! The names by which users of DNN ONNX Profiler know execution providers and devices, and what they are here.
//!
//! Owns: `--exec-type` and `--device-type`. There, a name whose hardware is missing ran on the processor without a word;
//! here it is the backend that is meant, or the sentence that says why there is none.

use crate::exit::{Exit, Failure};

/// What a pair of names means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) backend: &'static str,
    pub(super) device: Option<String>,
    pub(super) precision: Option<&'static str>,
}

/// The backend that is meant.
///
/// # Errors
/// Exit 2 for a name that the tool does not know either; 30 for hardware that nothing drives any more.
pub(super) fn meant(exec: Option<&str>, device: Option<&str>) -> Result<Meant, Failure> {
    let plain = |backend, device: Option<&str>| {
        Ok(Meant {
            backend,
            device: device.map(str::to_owned),
            precision: None,
        })
    };
    match (exec, device) {
        (None | Some("OpenVINO"), device) => openvino(device.unwrap_or("CPU_FP32")),
        (Some(exec), Some(device)) => Err(Failure::usage(format!(
            "--device-type {device} belongs to --exec-type OpenVINO, not to {exec}"
        ))),
        (Some("CPU"), None) => plain("onnxruntime", Some("CPU")),
        (Some("GPU"), None) => plain("onnxruntime", Some("CUDA")),
        (Some("TensorRT"), None) => plain("tensorrt", None),
        (Some("ACL"), None) => acl(),
        (Some(other), None) => Err(Failure::usage(format!(
            "--exec-type {other}: expected CPU, GPU, OpenVINO, TensorRT or ACL"
        ))),
    }
}

/// Arm Compute Library: inside OpenVINO's plugin for Arm's processors, and nowhere else.
fn acl() -> Result<Meant, Failure> {
    if cfg!(any(target_arch = "aarch64", target_arch = "arm")) {
        return Ok(Meant {
            backend: "openvino",
            device: Some("CPU".to_owned()),
            precision: Some("f32"),
        });
    }
    Err(gone(format!(
        "--exec-type ACL: Arm Compute Library is for Arm's processors, this is {}; --exec-type CPU is the processor here",
        std::env::consts::ARCH
    )))
}

fn gone(text: String) -> Failure {
    Failure::new(Exit::BackendMissing, anyhow::Error::msg(text))
}

fn openvino(device: &str) -> Result<Meant, Failure> {
    let on = |backend, device: &str, precision| {
        Ok(Meant {
            backend,
            device: Some(device.to_owned()),
            precision,
        })
    };
    match device {
        "CPU_FP32" => on("openvino", "CPU", Some("f32")),
        "GPU_FP32" => on("openvino", "GPU", Some("f32")),
        "GPU_FP16" => on("openvino", "GPU", Some("f16")),
        "MYRIAD_FP16" => on("openvino-myriad", "MYRIAD", Some("f16")),
        "VAD-M_FP16" => Err(gone(
            "--device-type VAD-M_FP16: Intel's Vision Accelerator Design with Movidius VPUs (HDDL) is discontinued; OpenVINO \
             2022.1 was the last with its plugin, and nothing drives it here"
                .to_owned(),
        )),
        "VAD-F_FP32" => Err(gone(
            "--device-type VAD-F_FP32: Intel's Vision Accelerator Design with an Arria 10 FPGA is discontinued; OpenVINO \
             2020.3 LTS was the last with its plugin, and nothing drives it here"
                .to_owned(),
        )),
        list => of_list(list),
    }
}

/// `HETERO:` and `MULTI:` with a list of devices.
fn of_list(text: &str) -> Result<Meant, Failure> {
    let unknown = || {
        Failure::usage(format!(
            "--device-type {text}: expected CPU_FP32, GPU_FP32, GPU_FP16, MYRIAD_FP16, VAD-M_FP16, VAD-F_FP32, HETERO:… or MULTI:…"
        ))
    };
    let (_, list) = text
        .split_once(':')
        .filter(|(kind, _)| ["HETERO", "MULTI"].contains(kind))
        .ok_or_else(unknown)?;
    let names: Vec<&str> = list.split(',').collect();
    if let Some(name) = names
        .iter()
        .find(|name| ["HDDL", "FPGA", "VAD-M", "VAD-F"].contains(name))
    {
        return Err(gone(format!(
            "--device-type {text}: Intel's Vision Accelerator Designs ({name}) are discontinued, and nothing drives them here"
        )));
    }
    if names.iter().any(|name| !["CPU", "GPU", "MYRIAD"].contains(name)) {
        return Err(unknown());
    }
    Ok(Meant {
        backend: if names.contains(&"MYRIAD") {
            "openvino-myriad"
        } else {
            "openvino"
        },
        device: Some(text.to_owned()),
        precision: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn each_name_of_the_tool_is_one_backend_here() {
        let rows = [
            (Some("CPU"), None, "onnxruntime", Some("CPU"), None),
            (Some("GPU"), None, "onnxruntime", Some("CUDA"), None),
            (Some("TensorRT"), None, "tensorrt", None, None),
            (Some("OpenVINO"), None, "openvino", Some("CPU"), Some("f32")),
            (Some("OpenVINO"), Some("CPU_FP32"), "openvino", Some("CPU"), Some("f32")),
            (Some("OpenVINO"), Some("GPU_FP32"), "openvino", Some("GPU"), Some("f32")),
            (None, Some("GPU_FP16"), "openvino", Some("GPU"), Some("f16")),
            (
                None,
                Some("MYRIAD_FP16"),
                "openvino-myriad",
                Some("MYRIAD"),
                Some("f16"),
            ),
            (
                None,
                Some("HETERO:MYRIAD,CPU"),
                "openvino-myriad",
                Some("HETERO:MYRIAD,CPU"),
                None,
            ),
            (
                None,
                Some("MULTI:MYRIAD,GPU,CPU"),
                "openvino-myriad",
                Some("MULTI:MYRIAD,GPU,CPU"),
                None,
            ),
            (None, Some("HETERO:GPU,CPU"), "openvino", Some("HETERO:GPU,CPU"), None),
        ];
        for (exec, device, backend, on, precision) in rows {
            let found = meant(exec, device).unwrap();
            assert_eq!(found.backend, backend, "{exec:?} {device:?}");
            assert_eq!(found.device.as_deref(), on, "{exec:?} {device:?}");
            assert_eq!(found.precision, precision, "{exec:?} {device:?}");
        }
    }

    #[test]
    fn hardware_that_is_gone_has_its_sentence_and_a_wrong_name_its_list() {
        for name in ["VAD-M_FP16", "VAD-F_FP32", "HETERO:FPGA,CPU"] {
            let failure = meant(Some("OpenVINO"), Some(name)).unwrap_err();
            assert_eq!(failure.exit, Exit::BackendMissing);
            assert!(failure.to_string().contains("discontinued"), "{failure}");
        }
        for (exec, device) in [
            (Some("NPU"), None),
            (Some("CPU"), Some("CPU_FP32")),
            (None, Some("CPU_FP16")),
            (None, Some("HETERO:TPU,CPU")),
            (None, Some("AUTO:CPU")),
        ] {
            let failure = meant(exec, device).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{exec:?} {device:?}: {failure}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn acl_is_never_the_plain_processor() {
        let failure = meant(Some("ACL"), None).unwrap_err();
        assert_eq!(failure.exit, Exit::BackendMissing);
    }
}
