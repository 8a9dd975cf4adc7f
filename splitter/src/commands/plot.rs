//! `kerf plot`: plans, sweeps and profiles as a page or a picture.

use std::path::{Path, PathBuf};

use kerf_wire::Profile;

use super::{print, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::plan::Plan;
use crate::plot::{self, Report};
use crate::profile::sweep::Sweep;

/// Longest file of results, bytes.
const MAX_RESULT_BYTES: u64 = 64 * 1024 * 1024;

/// Show plans, sweeps and profiles: a page with sliders, or a picture.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf plot plan.json sweep.json profile.json -o report.html\n  \
    kerf plot time_table.csv -o report.html        a table of the reference tool\n  kerf plot sweep.json -o chart.svg\n\n\
    The page is one file that loads nothing: its sliders recompute the best cut for another link or another cloud."
)]
pub struct Args {
    /// Plans, sweeps and profiles (JSON), and the reference tool's tables (CSV).
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// What is written; its ending says what: .html, .svg or .png.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The report's title; the first file's name by default.
    #[arg(long)]
    pub title: Option<String>,
}

/// Draws and says the verdicts.
///
/// # Errors
/// When a file is none of these, or the output's ending is not known.
pub fn run(args: &Args) -> Result<(), Failure> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let title = args
        .title
        .clone()
        .or_else(|| args.results.first().map(|path| stem(path)));
    let mut report = Report::new(&title.unwrap_or_default());
    let mut results = args
        .results
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    // A plan first: a sweep is compared with it.
    results.sort_by_key(|result| !matches!(result, Results::Plan(_)));
    for result in &results {
        match result {
            Results::Plan(plan) => report.add_plan(plan),
            Results::Sweep(sweep) => report.add_sweep(sweep),
            Results::Profile(profile) => report.add_profile(profile),
        }
    }
    let bytes = match args.output.extension().and_then(|ending| ending.to_str()) {
        Some("html") => plot::page(&report).or_exit(Exit::Bug)?.into_bytes(),
        Some("svg") => plot::svg(&report).or_exit(Exit::Usage)?.into_bytes(),
        Some("png") => plot::png(&report).or_exit(Exit::Usage)?,
        _ => {
            let file = args.output.display();
            return Err(Failure::usage(format!(
                "{file}: expected a name that ends in .html, .svg or .png"
            )));
        }
    };
    write_whole(&args.output, &bytes)?;
    print(&(report.verdicts.join("\n") + "\n"))
}

enum Results {
    Plan(Box<Plan>),
    Sweep(Sweep),
    Profile(Box<Profile>),
}

/// Told apart by what only one of them has.
fn read(path: &Path) -> Result<Results, Failure> {
    let doing = || format!("reading {}", path.display());
    let long = std::fs::metadata(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?
        .len();
    if long > MAX_RESULT_BYTES {
        return Err(Failure::usage(format!(
            "{} has {long} bytes, the limit is {MAX_RESULT_BYTES}",
            path.display()
        )));
    }
    let bytes = std::fs::read(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?;
    let keys: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let results = if keys.get("verdict").is_some() {
        Plan::parse(&bytes)
            .or_exit(Exit::Usage)
            .map(|plan| Results::Plan(Box::new(plan)))
    } else if keys.get("kernels").is_some() {
        Profile::parse(&bytes)
            .or_exit(Exit::Usage)
            .map(|profile| Results::Profile(Box::new(profile)))
    } else {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Sweep::parse(&bytes, &name).or_exit(Exit::Usage).map(Results::Sweep)
    };
    results.map_err(|e| e.context(doing()))
}
