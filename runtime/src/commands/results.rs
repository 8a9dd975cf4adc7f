//! `kerf-stage results`: each result once, on standard output or in a file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kerf_runtime::broker::Broker;
use kerf_runtime::config::{BrokerConfig, Config, StageConfig};
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::stage::dedupe::Delivered;
use kerf_runtime::stage::reader::{Reader, ReaderError, Sink, id_of};

use super::run::links::Links;

/// How long one wait for results is.
const WAIT: Duration = Duration::from_mins(1);

/// Deliver each result once: one JSON object a line, on standard output or appended to a file.
///
/// With --output the file is also the memory: a result in it is not written again, whatever is killed in between.
/// Standard output is remembered until this program ends. Tails started with `--confirm reader` free a frame only when
/// this reader has it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage results --broker mqtt://localhost:1883
  kerf-stage results --broker mqtt://localhost:1883 --from cam-1 --output results.jsonl

Any other reader: subscribe to PREFIX/+/result, drop what has a \"frame\" that you have seen; where a result has a
response topic, publish its correlation data there once you have it for good.")]
pub(crate) struct Results {
    /// TOML file with any of these settings
    #[arg(long, env = "KERF_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Devices whose results to take [default: all]
    #[arg(long, value_name = "DEVICE")]
    from: Vec<String>,
    /// File to append to; it is the memory over restarts
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End after this many results
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// This reader's name on the broker [default: the host's name]
    #[arg(long, env = "KERF_DEVICE", value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    broker: BrokerConfig,
}

impl Results {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let settings = Config {
            broker: self.broker,
            stage: StageConfig {
                device: self.device,
                ..StageConfig::default()
            },
            ..Config::default()
        };
        let config = settings.resolve(self.config.as_deref())?;
        let (mut sink, delivered): (Box<dyn Sink>, Delivered) = match &self.output {
            Some(path) => {
                let (lines, delivered) = Lines::open(path)?;
                (Box::new(lines), delivered)
            }
            None => (Box::new(Out), Delivered::default()),
        };
        let links = Links::of_reader(&config)?;
        let mut broker = links.connect()?;
        let filters = match self.from.as_slice() {
            [] => vec![links.topics.result("+")],
            some => some.iter().map(|device| links.topics.result(device)).collect(),
        };
        for filter in &filters {
            broker.subscribe(filter)?;
        }
        log::info!("event=ready filters={}", filters.join(","));
        let mut reader = Reader::new(Box::new(broker), links.topics.clone(), delivered);
        while self.count.is_none_or(|count| reader.counts().delivered < count) {
            reader.step(WAIT, sink.as_mut()).map_err(|why| match why {
                ReaderError::Sink(_) => Failure::new(Exit::DiskFull, why),
                _ => Failure::new(Exit::SpoolDamaged, why),
            })?;
        }
        Ok(())
    }
}

/// Standard output.
struct Out;

impl Sink for Out {
    fn write(&mut self, result: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(result)?;
        out.write_all(b"\n")
    }

    fn sync(&mut self) -> std::io::Result<()> {
        std::io::stdout().lock().flush()
    }
}

/// A file of lines.
struct Lines {
    file: File,
}

impl Lines {
    /// Opens a file, making it where it is missing; gives what is already in it. A last line without its end was being
    /// written when something died: it is cut off, and comes again.
    fn open(path: &Path) -> Result<(Self, Delivered), Failure> {
        let context = |failure: Failure| failure.context(format!("results file {}", path.display()));
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path);
        let mut file = open.or_exit(Exit::Usage).map_err(context)?;
        file.try_lock()
            .map_err(|_| Failure::usage(format!("{} is being written by another reader", path.display())))?;
        let mut delivered = Delivered::default();
        let mut good = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .or_exit(Exit::Usage)
            .map_err(context)?
            > 0
        {
            if line.last() != Some(&b'\n') {
                log::warn!("event=torn_line file={} bytes={}", path.display(), line.len());
                break;
            }
            good += line.len() as u64;
            if let Some(id) = id_of(&line) {
                delivered.note(&id);
            }
            line.clear();
        }
        file.set_len(good).or_exit(Exit::DiskFull).map_err(context)?;
        file.seek(std::io::SeekFrom::End(0))
            .or_exit(Exit::DiskFull)
            .map_err(context)?;
        Ok((Self { file }, delivered))
    }
}

impl Sink for Lines {
    fn write(&mut self, result: &[u8]) -> std::io::Result<()> {
        // One write a line, and no line break within it: JSON has them only between its tokens.
        let mut line: Vec<u8> = result
            .iter()
            .map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b })
            .collect();
        line.push(b'\n');
        self.file.write_all(&line)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.file.sync_data()
    }
}
