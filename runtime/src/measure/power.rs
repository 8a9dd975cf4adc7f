//! What this machine draws: Intel's RAPL counter, or the INA sensors of Jetson boards.
//!
//! Owns: which files say it. Must not know: what ran meanwhile. All files lie below one root, `/sys` unless a test says otherwise.

use std::fs;
use std::path::{Path, PathBuf};

/// Labels of the rail that carries the whole board, by board: Jetson Nano and TX2, then Xavier and Orin.
const WHOLE_BOARD: [&str; 4] = ["POM_5V_IN", "VDD_IN", "VIN_SYS_5V0", "VDD_SYS_5V0"];
/// Sensors that are looked at, at most.
const MOST_SENSORS: usize = 64;

/// A way to measure energy here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meter {
    /// A counter of microjoules.
    Rapl(PathBuf),
    /// Rails that are added up.
    Ina(Vec<Rail>),
}

/// One rail of an INA sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rail {
    /// A file of milliwatts (JetPack 4, `in_powerN_input`).
    Milliwatts(PathBuf),
    /// Files of millivolts and milliamperes (JetPack 5 and later, hwmon).
    VoltsAmperes(PathBuf, PathBuf),
}

impl Meter {
    /// The meter below this root; none where there is none.
    pub fn find(root: &Path) -> Option<Self> {
        let counter = root.join("class/powercap/intel-rapl:0/energy_uj");
        if number(&counter).is_some() {
            return Some(Self::Rapl(counter));
        }
        let rails = rails(root);
        (!rails.is_empty()).then_some(Self::Ina(rails))
    }

    /// `rapl` or `ina`.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Rapl(_) => "rapl",
            Self::Ina(_) => "ina",
        }
    }

    /// Joules since some moment, where it counts them; it starts again at a bound of its own.
    pub fn joules(&self) -> Option<f64> {
        match self {
            Self::Rapl(counter) => number(counter).map(|microjoules| microjoules * 1e-6),
            Self::Ina(_) => None,
        }
    }

    /// Watts now, where it says so.
    pub fn watts(&self) -> Option<f64> {
        let Self::Ina(rails) = self else { return None };
        rails.iter().map(Rail::watts).sum()
    }
}

impl Rail {
    fn watts(&self) -> Option<f64> {
        match self {
            Self::Milliwatts(file) => Some(number(file)? * 1e-3),
            Self::VoltsAmperes(millivolts, milliamperes) => Some(number(millivolts)? * number(milliamperes)? * 1e-6),
        }
    }
}

fn number(file: &Path) -> Option<f64> {
    let number: f64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// The rail of the whole board where one says so, else all rails.
fn rails(root: &Path) -> Vec<Rail> {
    let mut found: Vec<(String, Rail)> = Vec::new();
    for folder in sensor_folders(root) {
        for index in 0..=8 {
            let file = |name: String| folder.join(name);
            let power = file(format!("in_power{index}_input"));
            let (volts, amperes) = (file(format!("in{index}_input")), file(format!("curr{index}_input")));
            let (label, rail) = if power.is_file() {
                (file(format!("rail_name_{index}")), Rail::Milliwatts(power))
            } else if volts.is_file() && amperes.is_file() {
                (file(format!("in{index}_label")), Rail::VoltsAmperes(volts, amperes))
            } else {
                continue;
            };
            let label = fs::read_to_string(label).unwrap_or_default();
            found.push((label.trim().to_owned(), rail));
        }
    }
    let whole: Vec<Rail> = found
        .iter()
        .filter(|(label, _)| WHOLE_BOARD.contains(&label.as_str()))
        .map(|(_, rail)| rail.clone())
        .collect();
    if whole.is_empty() {
        return found.into_iter().map(|(_, rail)| rail).collect();
    }
    whole
}

/// `bus/i2c/drivers/ina3221*/DEVICE/{iio:deviceN,hwmon/hwmonN}`, sorted.
fn sensor_folders(root: &Path) -> Vec<PathBuf> {
    let drivers = children(&root.join("bus/i2c/drivers"), |name| {
        name.starts_with("ina3221") || name.starts_with("ina2")
    });
    let devices = drivers
        .iter()
        .flat_map(|driver| children(driver, |name| name.contains('-')));
    let mut folders = Vec::new();
    for device in devices {
        folders.extend(children(&device, |name| name.starts_with("iio:device")));
        folders.extend(children(&device.join("hwmon"), |name| name.starts_with("hwmon")));
    }
    folders.truncate(MOST_SENSORS);
    folders
}

fn children(folder: &Path, takes: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(&takes))
        .map(|entry| entry.path())
        .take(MOST_SENSORS)
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn sensors_of_both_generations_are_read_and_the_whole_boards_rail_counts() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Meter::find(root.path()), None);
        let nano = "bus/i2c/drivers/ina3221x/6-0040/iio:device0";
        for (index, label, milliwatts) in [(0, "POM_5V_IN", 2_500), (1, "POM_5V_GPU", 400), (2, "POM_5V_CPU", 900)] {
            write(root.path(), &format!("{nano}/rail_name_{index}"), &format!("{label}\n"));
            write(
                root.path(),
                &format!("{nano}/in_power{index}_input"),
                &format!("{milliwatts}\n"),
            );
        }
        let meter = Meter::find(root.path()).unwrap();
        assert!((meter.watts().unwrap() - 2.5).abs() < 1e-9 && meter.source() == "ina");
        let orin = tempfile::tempdir().unwrap();
        let folder = "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3";
        for (index, label, amperes) in [(1, "VDD_CPU", 1_000), (2, "VDD_SOC", 500)] {
            write(orin.path(), &format!("{folder}/in{index}_label"), label);
            write(orin.path(), &format!("{folder}/in{index}_input"), "5000");
            write(
                orin.path(),
                &format!("{folder}/curr{index}_input"),
                &amperes.to_string(),
            );
        }
        // No rail of the whole board: all together.
        assert!((Meter::find(orin.path()).unwrap().watts().unwrap() - 7.5).abs() < 1e-9);
        write(orin.path(), "class/powercap/intel-rapl:0/energy_uj", "1500000");
        let counter = Meter::find(orin.path()).unwrap();
        assert!((counter.joules().unwrap() - 1.5).abs() < 1e-9 && counter.watts().is_none());
    }
}
