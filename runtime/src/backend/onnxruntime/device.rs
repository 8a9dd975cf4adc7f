//! The devices of the backend `onnxruntime`: one execution provider each.

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProviderDispatch};

use super::NAME;
use crate::backend::{BackendError, LoadOptions};

/// An execution provider with its options.
#[derive(Debug, Clone)]
pub(super) enum Device {
    /// ONNX Runtime's own kernels.
    Cpu,
    /// Google's float kernels; what they lack runs on ONNX Runtime's own, on the same processor.
    Xnnpack { threads: usize },
    /// Arm Compute Library; what it lacks runs on ONNX Runtime's own kernels, on the same processor.
    Acl,
    /// An NVIDIA GPU by its number.
    Cuda { number: i32 },
    /// A device of OpenVINO, in the precision that was asked for.
    OpenVino { device: String, threads: Option<usize> },
    /// An NVIDIA GPU through TensorRT.
    #[cfg(feature = "tensorrt")]
    TensorRt(Box<ep::TensorRT>),
}

impl Device {
    /// The device that the options name; `CPU` where they name none.
    pub(super) fn parse(options: &LoadOptions) -> Result<Self, BackendError> {
        let name = options.device.as_deref().unwrap_or("CPU");
        let no_such = || BackendError::Option {
            backend: NAME,
            option: format!("device {name:?}: it has CPU, XNNPACK, ACL, CUDA, CUDA:N and OPENVINO:DEVICE"),
        };
        let device = match name.split_once(':') {
            None if name == "CPU" => Self::Cpu,
            None if name == "XNNPACK" => Self::Xnnpack {
                threads: options.threads.unwrap_or(1),
            },
            None if name == "ACL" => Self::Acl,
            None if name == "CUDA" => Self::Cuda { number: 0 },
            Some(("CUDA", number)) => Self::Cuda {
                number: number.parse().ok().filter(|n| *n >= 0).ok_or_else(no_such)?,
            },
            Some(("OPENVINO", device)) if !device.is_empty() => Self::OpenVino {
                device: device.to_owned(),
                threads: options.threads,
            },
            _ => return Err(no_such()),
        };
        Ok(device)
    }

    /// Its name for people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Cpu => format!("CPU ({})", std::env::consts::ARCH),
            Self::Xnnpack { .. } => "CPU, XNNPACK's kernels".to_owned(),
            Self::Acl => "CPU, Arm Compute Library's kernels".to_owned(),
            Self::Cuda { number } => format!("NVIDIA GPU {number}, CUDA"),
            Self::OpenVino { device, .. } => format!("{device}, through OpenVINO"),
            #[cfg(feature = "tensorrt")]
            Self::TensorRt(_) => "NVIDIA GPU, TensorRT".to_owned(),
        }
    }

    /// The execution provider; none for ONNX Runtime's own.
    pub(super) fn provider(&self) -> Option<ExecutionProviderDispatch> {
        Some(match self {
            Self::Cpu => return None,
            Self::Xnnpack { threads } => {
                let threads = std::num::NonZeroUsize::new(*threads).unwrap_or(std::num::NonZeroUsize::MIN);
                ep::XNNPACK::default().with_intra_op_num_threads(threads).build()
            }
            Self::Acl => ep::ACL::default().build(),
            Self::Cuda { number } => ep::CUDA::default().with_device_id(*number).build(),
            Self::OpenVino { device, threads } => {
                // Its default precision is whatever is quickest: bf16 on many processors.
                let mut provider = ep::OpenVINO::default().with_device_type(device).with_precision("FP32");
                if let Some(threads) = threads {
                    provider = provider.with_num_threads(*threads);
                }
                provider.with_arbitrary_config("num_streams", "1").build()
            }
            #[cfg(feature = "tensorrt")]
            Self::TensorRt(provider) => provider.as_ref().clone().build(),
        })
    }

    /// Whether a node that the provider does not take must be an error. Where both run on the same processor, it need
    /// not be: the provider is a set of kernels, not a device.
    pub(super) fn is_strict(&self) -> bool {
        !matches!(self, Self::Cpu | Self::Xnnpack { .. } | Self::Acl)
    }

    /// How to get a library that has it.
    pub(super) fn how(&self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Xnnpack { .. } => {
                "; needs an ONNX Runtime built with --use_xnnpack: no wheel of PyPI has it, Microsoft's Android package does"
            }
            Self::Acl => {
                "; needs an ONNX Runtime built with --use_acl; or take --backend openvino, whose Arm CPU plugin has Arm \
                 Compute Library inside"
            }
            Self::Cuda { .. } => {
                "; needs an NVIDIA driver and `pip install onnxruntime-gpu` with its CUDA and cuDNN; on a Jetson the wheel \
                 of NVIDIA's Jetson index (1.17 or newer), then --library …/onnxruntime/capi/libonnxruntime.so.1.*"
            }
            Self::OpenVino { .. } => {
                "; needs `pip install onnxruntime-openvino`, then --library …/onnxruntime/capi/libonnxruntime.so.1.*"
            }
            #[cfg(feature = "tensorrt")]
            Self::TensorRt(_) => {
                "; needs an NVIDIA driver, TensorRT, and `pip install onnxruntime-gpu` with its CUDA and cuDNN; on a Jetson \
                 JetPack's TensorRT and the wheel of NVIDIA's Jetson index (1.17 or newer)"
            }
        }
    }
}
