//! Compilers of vendors, which turn a converted part into what only their own device runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kerf_wire::manifest::Conversion;

use super::{ConvertError, Kind, Tool, at, tools};

/// Within OpenVINO 2021.3's wheel.
pub(super) const MYRIAD_COMPILE: &str = "openvino/libs/myriad_compile";
/// Google's, from coral.ai; in no registry.
const EDGETPU_COMPILER: &str = "edgetpu_compiler";
/// The oldest runtime that a supported libedgetpu (16.0) has, so that no older one is excluded by accident.
const EDGETPU_RUNTIME: &str = "14";

/// Whether all that a kind needs is here.
///
/// # Errors
/// When a converter is not; the text says how to get it.
pub fn ready(kind: Kind) -> Result<(), ConvertError> {
    if let Some(tool) = kind.tool() {
        tools::wanted(tool)?;
    }
    match kind {
        Kind::Edgetpu => edgetpu_compiler().map(drop),
        _ => Ok(()),
    }
}

/// What a compiler made.
pub(super) struct Compiled {
    pub(super) conversion: Conversion,
    pub(super) compiled_for: String,
}

/// A blob for the Neural Compute Stick 2. Nothing here can run it, so nothing is compared.
pub(super) fn myriad(part: usize, model: &Path, output: &Path) -> Result<Compiled, ConvertError> {
    let place = tools::wanted(Tool::Myriad)?;
    let compiler = place.join(MYRIAD_COMPILE);
    let libraries = compiler.parent().map(Path::to_owned).unwrap_or_default();
    let mut command = Command::new(&compiler);
    command
        .env("LD_LIBRARY_PATH", libraries)
        .arg("-m")
        .arg(model)
        .arg("-o")
        .arg(output);
    // The stick calculates in 16-bit floats; the part's own values go in and out.
    command.args(["-ip", "FP16", "-op", "FP16"]);
    run(&mut command, Kind::MyriadBlob, part, output)?;
    Ok(Compiled {
        conversion: Conversion {
            tool: "myriad_compile of OpenVINO 2021.3".to_owned(),
            precision: Kind::MyriadBlob.precision(),
            tolerance: Some(Kind::MyriadBlob.tolerance(None)),
            inputs: Vec::new(),
            outputs: Vec::new(),
            comparison: None,
        },
        compiled_for: "MYRIAD, OpenVINO 2021.3".to_owned(),
    })
}

/// What the Edge TPU runs of an int8 TFLite file; the comparison is that of the file before, which it answers as.
pub(super) fn edgetpu(part: usize, int8: &Path, from: &Conversion, output: &Path) -> Result<Compiled, ConvertError> {
    let compiler = edgetpu_compiler()?;
    let folder = output.with_extension("compiler");
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    let mut command = Command::new(compiler);
    command
        .args(["--min_runtime_version", EDGETPU_RUNTIME, "--out_dir"])
        .arg(&folder)
        .arg(int8);
    run(&mut command, Kind::Edgetpu, part, output)?;
    let stem = int8.file_stem().unwrap_or_default().to_string_lossy();
    let made = folder.join(format!("{stem}_edgetpu.tflite"));
    std::fs::rename(&made, output).map_err(at(&made))?;
    std::fs::remove_dir_all(&folder).map_err(at(&folder))?;
    Ok(Compiled {
        conversion: Conversion {
            tool: format!("{}, {EDGETPU_COMPILER}", from.tool),
            comparison: None,
            ..from.clone()
        },
        compiled_for: format!("Edge TPU, runtime {EDGETPU_RUNTIME}"),
    })
}

fn edgetpu_compiler() -> Result<PathBuf, ConvertError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(EDGETPU_COMPILER))
        .find(|file| file.is_file());
    found.ok_or_else(|| ConvertError::Missing {
        what: EDGETPU_COMPILER.to_owned(),
        how: format!(
            "it is Google's, for x86-64 Debian and Ubuntu: https://coral.ai/docs/edgetpu/compiler; put it on the PATH and run this \
             again, or ask for --format {} and compile that yourself",
            Kind::TfliteInt8
        ),
    })
}

/// Runs a compiler, which must leave a file; what it says goes into a log.
fn run(command: &mut Command, kind: Kind, part: usize, output: &Path) -> Result<(), ConvertError> {
    let log = tools::folder().join(format!("{}.log", kind.name()));
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let done = command.stdin(Stdio::null()).output().map_err(at(output))?;
    let said = [done.stdout, done.stderr].concat();
    std::fs::write(&log, &said).map_err(at(&log))?;
    if done.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&said);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Err(ConvertError::Refused {
        kind,
        part,
        why: last.unwrap_or("it says nothing").trim().to_owned(),
        log,
    })
}
