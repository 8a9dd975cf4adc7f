//! `kerf-stage run`: one part, as a service.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kerf_runtime::alive;
use kerf_runtime::broker::Broker;
use kerf_runtime::bundle::Bundle;
use kerf_runtime::config::{Config, ConfirmBy};
use kerf_runtime::exit::{Exit, Failure};
use kerf_runtime::metrics::Metrics;
use kerf_runtime::result;
use kerf_runtime::spool::{self, SpoolLimits};
use kerf_runtime::stage::envelope::Envelopes;
use kerf_runtime::stage::head::{self, HeadConfig, HeadLinks};
use kerf_runtime::stage::keep::{Keep, MemoryKeep};
use kerf_runtime::stage::solo::{self, SoloConfig};
use kerf_runtime::stage::tail::{Confirm, Tail, TailConfig, TailLinks};
use kerf_runtime::stage::{Answerer, Border};
use kerf_runtime::step::Step;
use kerf_runtime::wire::Manifest;

mod bucket;
mod inputs;
pub(crate) mod links;
mod print;
mod store;

use inputs::tell;
use links::Links;

const TAIL_WAIT: Duration = Duration::from_mins(1);
/// Bytes that frames without receipts may take, unless configured.
const SPOOL_BYTES: u64 = 256 * 1024 * 1024;

/// Run one part as a service: a head takes inputs, every other part takes frames, the last one answers.
///
/// A head with files ends when all are answered; everything else runs until it is stopped. stdout has one JSON object a
/// result.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage run --bundle bundle --part 0 --broker mqtt://localhost:1883 --device cam-1 --input photos/
  kerf-stage run --bundle bundle --part 1 --broker mqtt://localhost:1883
  kerf-stage run --bundle edge-only --input photo.jpg
  kerf-stage run --bundle edge-only --device cam-1 --broker mqtt://localhost:1883 --messages
  kerf-stage run --bundle bundle --part 0 --broker mqtt://localhost:1883 --camera /dev/video0 --camera-fps 5
  kerf-stage run --bundle bundle --store http://minio:9000 --bucket-input in/ --bucket-output out/
  kerf-stage run --config /etc/kerf/stage.toml

A bundle must be signed by one of --keys. At the desk --allow-unsigned takes any.")]
pub(crate) struct Run {
    /// TOML file with the settings under these headings
    #[arg(long, env = "KERF_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Config,
}

impl Run {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = self.settings.resolve(self.config.as_deref())?;
        let dir = config.stage.bundle.as_deref();
        let trust = config.trust.trust();
        let bundle = trust.open(dir.ok_or_else(|| Failure::usage("--bundle DIR is needed"))?)?;
        if let Some(prefixes) = bucket::prefixes(&config.bucket) {
            let metrics = serve_metrics(&config)?;
            return bucket::run(&prefixes, &config, &bundle, metrics);
        }
        let parts = bundle.manifest().parts.len();
        let index = match config.stage.part {
            Some(index) => index,
            None if parts == 1 => 0,
            None => {
                return Err(Failure::usage(format!(
                    "--part N is needed: the bundle has parts 0 to {}",
                    parts - 1
                )));
            }
        };
        let step = Step::load(&bundle, index, &config.backend.names, &config.backend.options())?;
        log::info!(
            "event=loaded bundle={} part={index} parts={parts} backend={}",
            bundle.id(),
            step.backend().unwrap_or("none")
        );
        // Loading has passed the bundle's self-test: from now on nothing older runs here.
        trust.raise(&bundle)?;
        let stage = Stage {
            links: Links::new(&config, &bundle, index, &step)?,
            metrics: serve_metrics(&config)?,
            config,
            bundle,
            index,
            step,
        };
        match index {
            0 if parts == 1 => stage.solo(),
            0 => stage.head(),
            _ => stage.tail(),
        }
    }
}

/// Serves counters and health where that is asked for.
fn serve_metrics(config: &Config) -> Result<Arc<Metrics>, Failure> {
    let metrics = Arc::<Metrics>::default();
    if let Some(listen) = config.service.metrics {
        let address = kerf_runtime::metrics::serve(Arc::clone(&metrics), listen)
            .map_err(|why| Failure::usage(format!("metrics on {listen}: {why}")))?;
        log::info!("event=metrics address={address}");
    }
    Ok(metrics)
}

/// A loaded part and what it needs around it.
struct Stage {
    config: Config,
    bundle: Bundle,
    index: usize,
    step: Step,
    links: Links,
    metrics: Arc<Metrics>,
}

impl Stage {
    fn manifest(&self) -> &Manifest {
        self.bundle.manifest()
    }

    fn confirm(&self) -> Confirm {
        match self.config.service.confirm.unwrap_or_default() {
            ConfirmBy::Stage => Confirm::Stage,
            ConfirmBy::Reader => Confirm::Reader,
        }
    }

    /// The cut behind a part; none behind the last.
    fn border(&self, behind: usize) -> Result<Option<Border>, Failure> {
        Border::behind(self.manifest(), behind).map_err(|why| Failure::new(Exit::BundleRefused, why))
    }

    fn solo(mut self) -> Result<(), Failure> {
        let (mut source, asked) = self.source()?;
        let answerer = answerer(self.manifest());
        let config = SoloConfig {
            device: self.links.device.clone(),
            model: self.manifest().model.sha256,
            warnings: self.step.warnings().to_vec(),
        };
        let mut publisher = self.links.publisher()?;
        log::info!("event=ready part=0 device={}", config.device);
        alive::ready();
        let summary = solo::run(
            source.as_mut(),
            &mut self.step,
            answerer.as_ref(),
            &config,
            &mut |answer| {
                publisher.publish(&answer.result);
                tell(asked.as_ref(), &answer);
                print::line(&answer);
            },
        );
        print::ended(summary)
    }

    fn head(mut self) -> Result<(), Failure> {
        let onward = self.border(0)?.ok_or_else(|| Failure::usage("the bundle has no cut"))?;
        let (mut source, asked) = self.source()?;
        let (service, no_results) = (&self.config.service, self.config.service.no_results);
        let config = HeadConfig {
            device: self.links.device.clone(),
            topics: self.links.topics.clone(),
            onward,
            results: !no_results,
            exits: self.step.may_answer_early(),
            confirm: self.confirm(),
            warnings: self.step.warnings().to_vec(),
            in_flight: service.in_flight,
        };
        let mut broker = self.links.connect()?;
        head::subscribe(&mut broker, &config)?;
        let links = HeadLinks {
            broker: Box::new(broker),
            keep: self.keep()?,
            envelopes: self.envelopes()?,
            answerer: answerer(self.manifest()),
            metrics: Arc::clone(&self.metrics),
            status: self.links.status_every(service.status_every_s()),
        };
        self.metrics.health.warn(self.step.warnings());
        log::info!("event=ready part=0 device={}", config.device);
        alive::ready();
        let summary = head::run(source.as_mut(), &mut self.step, links, &config, &mut |answer| {
            tell(asked.as_ref(), &answer);
            if !no_results {
                print::line(&answer);
            }
        });
        print::ended(summary)
    }

    fn tail(self) -> Result<(), Failure> {
        let no_cut = || Failure::usage(format!("no cut lies before part {}", self.index));
        let before = self.border(self.index - 1)?.ok_or_else(no_cut)?;
        let (crossing, service) = (before.crossing, &self.config.service);
        let config = TailConfig {
            topics: self.links.topics.clone(),
            part: u8::try_from(self.index).map_err(|_| no_cut())?,
            before,
            onward: self.border(self.index)?,
            confirm: self.confirm(),
            warnings: self.step.warnings().to_vec(),
            batch: self.config.stage.together(),
        };
        let mut broker = self.links.connect()?;
        let filter = config
            .topics
            .frames_filter(&crossing.model, &crossing.cut, service.share.as_deref());
        broker.subscribe(&filter)?;
        log::info!("event=ready part={} takes={crossing} filter={filter}", self.index);
        let answerer = answerer(self.manifest());
        let links = TailLinks {
            broker: Box::new(broker),
            envelopes: self.envelopes()?,
            metrics: Arc::clone(&self.metrics),
            status: self.links.status_every(service.status_every_s()),
        };
        alive::ready();
        let mut tail = Tail::new(links, Box::new(self.step), answerer, config);
        loop {
            tail.step(TAIL_WAIT);
        }
    }

    fn envelopes(&self) -> Result<Envelopes, Failure> {
        Ok(Envelopes::new(self.links.store()?, self.links.inline_bytes()))
    }

    /// Where accepted frames wait: on the disk where a folder is given, else in memory, which promises less and says so.
    fn keep(&self) -> Result<Box<dyn Keep>, Failure> {
        let when_full = self.links.when_full();
        let bytes = self.config.spool.bytes.unwrap_or(SPOOL_BYTES);
        let Some(dir) = &self.config.spool.dir else {
            log::warn!("event=memory_only promise=\"frames without a receipt are lost when this program ends\"");
            return Ok(Box::new(MemoryKeep::new(bytes, when_full)));
        };
        Ok(Box::new(spool::open(dir, SpoolLimits { bytes, when_full })?))
    }
}

fn answerer(manifest: &Manifest) -> Box<dyn Answerer> {
    Box::new(result::Answer::new(manifest.labels.clone()))
}
