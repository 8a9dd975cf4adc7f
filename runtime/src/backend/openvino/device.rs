//! Device names of OpenVINO: one device, or a list that it may spread a model over.

use openvino::{CompiledModel, Core, DeviceType, PropertyKey, RwPropertyKey};

use super::NAME;
use crate::backend::{BackendError, LoadOptions};

/// A device as the options name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    /// As OpenVINO takes it.
    pub(super) text: String,
    /// `AUTO`, `HETERO`, `MULTI`, or nothing.
    pub(super) kind: String,
    /// The devices themselves.
    pub(super) names: Vec<String>,
}

impl Device {
    /// The device that the options name; `CPU` where they name none.
    pub(super) fn parse(options: &LoadOptions) -> Result<Self, BackendError> {
        let text = options.device.as_deref().unwrap_or("CPU");
        let no = |what: &str| BackendError::Option {
            backend: NAME,
            option: format!("device {text:?}: {what}"),
        };
        let (kind, list) = text.split_once(':').unwrap_or(("", text));
        if !["", "AUTO", "HETERO", "MULTI"].contains(&kind) {
            return Err(no("before the colon stands AUTO, HETERO or MULTI"));
        }
        let names: Vec<String> = list.split(',').map(str::to_owned).collect();
        if let Some(alone) = names.iter().find(|n| ["AUTO", "HETERO", "MULTI"].contains(&n.as_str())) {
            // Without a list it picks among whatever is there, the CPU included.
            return Err(no(&format!("name the devices that it may take, e.g. {alone}:GPU,CPU")));
        }
        let plain = |name: &String| {
            let mut letters = name.chars();
            letters.next().is_some_and(|c| c.is_ascii_uppercase())
                && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        if !names.iter().all(plain) || (kind.is_empty() && names.len() > 1) {
            return Err(no("it has CPU, GPU, GPU.N, NPU, and lists such as HETERO:GPU,CPU"));
        }
        if options.threads.is_some() && !names.iter().any(|name| name == "CPU") {
            return Err(no("threads are the CPU's"));
        }
        Ok(Self {
            text: text.to_owned(),
            kind: kind.to_owned(),
            names,
        })
    }
}

/// What the devices are, for people.
///
/// # Errors
/// When OpenVINO does not see one of them: it would take another without a word.
pub(super) fn describe(core: &Core, device: &Device) -> Result<String, String> {
    let seen = core.available_devices().map_err(|why| why.to_string())?;
    let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
    let mut told = Vec::new();
    for name in &device.names {
        let is_it = |s: &String| s == name || s.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'));
        if !seen.iter().any(is_it) {
            let how = how(name);
            return Err(format!(
                "OpenVINO sees no device {name} here, it sees {}{how}",
                seen.join(", ")
            ));
        }
        let kind = DeviceType::from(name.as_str());
        let full = core.get_property(&kind, &PropertyKey::DeviceFullName);
        let full = full.map(|full| format!(" ({})", full.trim())).unwrap_or_default();
        // Its Arm processor plugin computes with Arm Compute Library.
        let arm = name == "CPU" && cfg!(any(target_arch = "aarch64", target_arch = "arm"));
        told.push(format!(
            "{name}{full}{}",
            if arm { ", Arm Compute Library inside" } else { "" }
        ));
    }
    let list = told.join(", ");
    Ok(if device.kind.is_empty() {
        list
    } else {
        format!("{} over {list}", device.kind)
    })
}

fn how(name: &str) -> &'static str {
    match name.split('.').next().unwrap_or(name) {
        "GPU" => "; needs Intel's compute driver: `apt install intel-opencl-icd`, and your user in the group render",
        "NPU" => "; needs Intel's NPU driver (github.com/intel/linux-npu-driver)",
        "MYRIAD" => "; OpenVINO dropped the Neural Compute Stick after 2022: --backend openvino-myriad drives it",
        _ => "",
    }
}

/// Whether the compiled model computes in what was asked for, and on which devices: OpenVINO takes a precision as a hint.
pub(super) fn is_as_told(compiled: &CompiledModel, device: &Device, precision: &str) -> Result<(), BackendError> {
    let property = |name: &'static str| compiled.get_property(&PropertyKey::Other(name.into()));
    if device.kind.is_empty()
        && let Ok(got) = compiled.get_property(&PropertyKey::Rw(RwPropertyKey::HintInferencePrecision))
        && got != precision
    {
        return Err(BackendError::Option {
            backend: NAME,
            option: format!("precision {precision:?} on this {}: it computes in {got}", device.text),
        });
    }
    if let Ok(devices) = property("EXECUTION_DEVICES") {
        log::info!("event=compiled backend={NAME} asked={} on={devices}", device.text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(device: &str) -> Result<Device, BackendError> {
        Device::parse(&LoadOptions {
            device: Some(device.to_owned()),
            ..LoadOptions::default()
        })
    }

    #[test]
    fn a_list_is_read_and_a_choice_of_its_own_is_refused() {
        let list = parse("HETERO:GPU.1,CPU").unwrap();
        assert_eq!(list.names, ["GPU.1", "CPU"]);
        assert_eq!(parse("GPU").unwrap().names, ["GPU"]);
        for wrong in [
            "AUTO",
            "MULTI",
            "AUTO:",
            "AUTO:-GPU",
            "CPU,GPU",
            "BEST:CPU",
            "AUTO:MULTI,CPU",
            "cpu",
        ] {
            let refused = parse(wrong).unwrap_err().to_string();
            assert!(refused.contains(&format!("{wrong:?}")), "{refused}");
        }
    }
}
