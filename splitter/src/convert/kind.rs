//! The kinds of artifacts that a part can become.

use kerf_wire::manifest::{Format, Precision};

use super::Tool;
use crate::target::Target;

/// What a part can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    /// ONNX in 16-bit floats, with 32-bit inputs and outputs.
    OnnxF16,
    /// OpenVINO IR: .xml and .bin.
    OpenvinoIr,
    /// OpenVINO IR with 16-bit weights.
    OpenvinoIrF16,
    /// A compiled blob for the Neural Compute Stick 2, of OpenVINO 2021.3.
    MyriadBlob,
    /// TFLite in 32-bit floats.
    Tflite,
    /// TFLite in int8 throughout; needs calibration data.
    TfliteInt8,
    /// Int8 TFLite compiled for the Edge TPU; needs calibration data and Google's edgetpu_compiler.
    Edgetpu,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::OnnxF16,
        Self::OpenvinoIr,
        Self::OpenvinoIrF16,
        Self::MyriadBlob,
        Self::Tflite,
        Self::TfliteInt8,
        Self::Edgetpu,
    ];

    /// As it is named on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnnxF16 => "onnx-f16",
            Self::OpenvinoIr => "openvino-ir",
            Self::OpenvinoIrF16 => "openvino-ir-f16",
            Self::MyriadBlob => "myriad-blob",
            Self::Tflite => "tflite",
            Self::TfliteInt8 => "tflite-int8",
            Self::Edgetpu => "edgetpu",
        }
    }

    /// The artifact's format in the manifest.
    pub fn format(self) -> Format {
        match self {
            Self::OnnxF16 => Format::Onnx,
            Self::OpenvinoIr | Self::OpenvinoIrF16 => Format::OpenvinoIr,
            Self::MyriadBlob => Format::MyriadBlob,
            Self::Tflite | Self::TfliteInt8 => Format::Tflite,
            Self::Edgetpu => Format::EdgetpuTflite,
        }
    }

    /// What it calculates in.
    pub fn precision(self) -> Precision {
        match self {
            Self::OpenvinoIr | Self::Tflite => Precision::F32,
            Self::OnnxF16 | Self::OpenvinoIrF16 | Self::MyriadBlob => Precision::F16,
            Self::TfliteInt8 | Self::Edgetpu => Precision::Int8,
        }
    }

    /// The artifact's file name.
    pub fn file(self, part: usize) -> String {
        let ending = match self {
            Self::OnnxF16 => "-f16.onnx",
            Self::OpenvinoIr => ".xml",
            Self::OpenvinoIrF16 => "-f16.xml",
            Self::MyriadBlob => ".blob",
            Self::Tflite => ".tflite",
            Self::TfliteInt8 => "-int8.tflite",
            Self::Edgetpu => "-int8_edgetpu.tflite",
        };
        format!("part-{part}{ending}")
    }

    /// The backend that runs it, whose operators the part must keep to.
    pub fn backend(self) -> &'static str {
        match self {
            Self::OnnxF16 => "onnxruntime",
            Self::OpenvinoIr | Self::OpenvinoIrF16 => "openvino",
            Self::MyriadBlob => "openvino-myriad",
            Self::Tflite | Self::TfliteInt8 => "tflite",
            Self::Edgetpu => "edgetpu",
        }
    }

    /// The managed converter that makes it; none where `kerf` does by itself.
    pub fn tool(self) -> Option<Tool> {
        match self {
            Self::OnnxF16 => None,
            Self::OpenvinoIr | Self::OpenvinoIrF16 => Some(Tool::Openvino),
            Self::MyriadBlob => Some(Tool::Myriad),
            Self::Tflite | Self::TfliteInt8 | Self::Edgetpu => Some(Tool::Tflite),
        }
    }

    /// True where ranges must be learnt from data.
    pub fn needs_data(self) -> bool {
        self.precision() == Precision::Int8
    }

    /// Largest max|a−b| / max|b| against the part as it was cut that is taken in floats, and that a self-test allows where
    /// nothing was measured. What is asked of int8 besides is in `judge`.
    pub fn limit(self) -> f64 {
        match self.precision() {
            Precision::F32 => 1e-3,
            Precision::F16 => 2e-2,
            Precision::Int8 => 0.2,
        }
    }

    /// What the self-test allows on the board: twice what was measured here, for kernels differ, and no less than what the
    /// precision itself does to a value.
    pub fn tolerance(self, measured: Option<f64>) -> f64 {
        let least = match self.precision() {
            Precision::F32 => 1e-3,
            Precision::F16 => 2e-2,
            Precision::Int8 => 5e-2,
        };
        measured.map_or(self.limit(), |relative| (2.0 * relative).max(least))
    }
}

/// What a board's backends load beside ONNX, which is always there. A compiled blob for the NCS2 is left out: it belongs to one
/// version of OpenVINO, and the board's own compiles ONNX at load.
pub fn kinds_of(target: &Target) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for backend in &target.backends {
        let wanted: &[Kind] = match (backend.as_str(), target.precision) {
            // TensorRT 11 has no flag for half precision: it computes in what the file is in.
            ("tensorrt", Some(Precision::F16)) => &[Kind::OnnxF16],
            ("openvino", Some(Precision::F16)) => &[Kind::OpenvinoIrF16],
            ("openvino", _) => &[Kind::OpenvinoIr],
            ("tflite", Some(Precision::Int8)) => &[Kind::TfliteInt8],
            ("tflite", _) => &[Kind::Tflite],
            ("edgetpu", _) => &[Kind::TfliteInt8, Kind::Edgetpu],
            _ => &[],
        };
        kinds.extend(
            wanted
                .iter()
                .filter(|kind| !kinds.contains(*kind))
                .copied()
                .collect::<Vec<_>>(),
        );
    }
    kinds
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use clap::ValueEnum as _;

    use super::*;
    use crate::target;

    #[test]
    fn names_are_those_of_the_command_line_and_files_are_plain_and_distinct() {
        let mut files = Vec::new();
        for kind in Kind::ALL {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.name());
            let file = kind.file(0);
            assert!(!files.contains(&file), "{file}");
            files.push(file);
            assert!(kind.tolerance(Some(1e-9)) >= 1e-3 && kind.tolerance(None) <= 0.2);
        }
    }

    #[test]
    fn a_board_says_what_its_backends_load() {
        let of = |name| kinds_of(&target::find(name).unwrap());
        assert_eq!(of("coral-usb"), [Kind::TfliteInt8, Kind::Edgetpu]);
        assert_eq!(of("pc-amd64-openvino"), [Kind::OpenvinoIr]);
        assert_eq!(of("jetson-orin"), [Kind::OnnxF16]);
        assert!(of("raspberry-pi-4").is_empty() && of("raspberry-pi-ncs2").is_empty());
    }
}
