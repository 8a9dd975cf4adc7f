//! `kerf profile --sweep`: every split for real.

mod cloud;

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use super::super::cluster::ClusterArgs;
use super::super::table::{ms, table};
use super::super::{print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::profile::sweep::{Cloud, Row, Sweep, SweepError, SweepJob, Way, reference_csv, sweep, verdict};

/// How a sweep is run and where it goes.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// Run every split at one value for real, both parts here or (--oscar) the tail in a cluster; an interrupted sweep goes on where it was (see --output).
    #[arg(long)]
    pub sweep: bool,
    /// Repetitions of each split.
    #[arg(long, default_value_t = 5, requires = "sweep", value_name = "N")]
    pub rep: u32,
    /// Also write the sweep as the reference tool's time_table.csv.
    #[arg(long, requires = "sweep", value_name = "FILE")]
    pub csv: Option<std::path::PathBuf>,
    /// Speed of the link that the network column is computed with.
    #[arg(long, requires = "sweep", conflicts_with = "oscar", value_name = "KBIT/S")]
    pub uplink_kbit_s: Option<f64>,
    /// RTT of that link.
    #[arg(long, requires = "sweep", default_value_t = 0.0, value_name = "MS")]
    pub rtt_ms: f64,
    /// Tails and the whole model in a cluster; its service holds the set that `kerf split --all` wrote.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        Self::new(Exit::RunFailed, error)
    }
}

/// Sweeps, writes after each split, and prints the verdict.
pub(super) fn run(model_file: &Path, backend: &str, output: Option<&Path>, args: &SweepArgs) -> Result<(), Failure> {
    let (model, graph) = read_graph(model_file, &crate::graph::shapes::Symbols::default())?;
    let before = output.map_or(Ok(Vec::new()), |file| earlier(file, &model))?;
    if !before.is_empty() {
        log::info!("{} rows are there already: going on", before.len());
    }
    let (kbit_s, rtt_ms) = (args.uplink_kbit_s, args.rtt_ms);
    if kbit_s.is_some_and(|kbit_s| !(kbit_s.is_finite() && kbit_s > 0.0)) {
        return Err(Failure::usage("--uplink-kbit-s must be above 0"));
    }
    let cluster = args.cluster.connect()?;
    let network_ms = |bytes: u64| kbit_s.map_or(0.0, |kbit_s| rtt_ms + bytes as f64 * 8.0 / kbit_s);
    let job = SweepJob {
        model: &model,
        file: model_file,
        graph: &graph,
        backend,
        repetitions: args.rep.max(1),
        network_ms: &network_ms,
        before,
        cloud: cluster.as_ref().map(|cluster| cluster as &dyn Cloud),
    };
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} splits, {elapsed} gone, {eta} left") {
        bar.set_style(style);
    }
    let table = sweep(&job, |table, done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        match output {
            Some(file) => write_whole(file, table.to_json()?.as_bytes()).map_err(|failure| failure.error),
            None => Ok(()),
        }
    });
    bar.finish_and_clear();
    let table = table?;
    if let Some(file) = &args.csv {
        write_whole(file, reference_csv::write(&table).as_bytes())?;
    }
    print(&text(&table, kbit_s.is_some()))
}

/// The rows of an interrupted sweep of the same model; a file of something else is not written over.
fn earlier(file: &Path, model: &crate::onnx::Model) -> Result<Vec<Row>, Failure> {
    let Ok(bytes) = std::fs::read(file) else {
        return Ok(Vec::new());
    };
    let table = Sweep::parse(&bytes, "")
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(format!("{} is there and is no sweep", file.display())))?;
    let digest = model.digest().or_exit(Exit::ModelRefused)?;
    if table.sha256 != Some(digest) {
        return Err(Failure::usage(format!(
            "{} is a sweep of another model ({})",
            file.display(),
            table.model
        )));
    }
    Ok(table.rows)
}

fn text(table: &Sweep, has_link: bool) -> String {
    let mut values: Vec<&str> = Vec::new();
    for row in table.rows.iter().filter(|row| row.way == Way::Split) {
        if !values.contains(&row.value.as_str()) {
            values.push(&row.value);
        }
    }
    let middle = |rows: &[&Row], figure: fn(&Row) -> f64| {
        ms(kerf_wire::profile::Sample::of(&rows.iter().map(|row| figure(row)).collect::<Vec<_>>()).median)
    };
    let line = |name: &str, rows: &[&Row]| {
        [
            name.to_owned(),
            middle(rows, |r| r.head_ms),
            middle(rows, |r| r.save_ms),
            middle(rows, |r| r.network_ms),
            middle(rows, |r| r.load_ms),
            middle(rows, |r| r.tail_ms),
            middle(rows, Row::total_ms),
        ]
    };
    let of = |way: Way, value: &str| -> Vec<&Row> {
        table
            .rows
            .iter()
            .filter(|row| row.way == way && row.value == value)
            .collect()
    };
    let mut ways = vec![("(edge only)", of(Way::Edge, "")), ("(cloud only)", of(Way::Cloud, ""))];
    ways.extend(values.iter().map(|value| (*value, of(Way::Split, value))));
    let rows: Vec<_> = ways.iter().map(|(name, rows)| line(name, rows)).collect();
    let mut text = self::table(
        ["CUT AT", "HEAD MS", "SAVE", "NETWORK", "LOAD", "TAIL", "TOTAL"],
        &rows,
        1,
    );
    for note in &table.notes {
        text = format!("{text}Note: {note}\n");
    }
    let verdict = verdict(table);
    if table.rows.iter().any(|row| row.cloud.is_some()) {
        // The device calls nothing.
        let calls = cloud::sections(ways.get(1..).unwrap_or_default());
        let job = verdict.with_job.map_or_else(String::new, |job| job.sentence + "\n");
        return format!(
            "{text}\nWhere a call to the cloud took its time, ms:\n{calls}\n{}\n{job}",
            verdict.sentence
        );
    }
    if has_link {
        text = format!("{text}\n{}\n", verdict.sentence);
    } else {
        text += "\nBoth parts ran here and no link was given (--uplink-kbit-s): the totals hold no network time.\n";
    }
    text
}
