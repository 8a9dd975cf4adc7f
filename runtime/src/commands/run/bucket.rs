//! `kerf-stage run --bucket-input …`: the last part, fed from a bucket.
//!
//! Owns: when the bucket is looked at. Must not know: what objects hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kerf_runtime::alive::{self, Alive};
use kerf_runtime::broker::Broker;
use kerf_runtime::bundle::Bundle;
use kerf_runtime::config::{self, Config};
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::metrics::Metrics;
use kerf_runtime::object;
use kerf_runtime::stage::bucket::{Bucket, BucketConfig};
use kerf_runtime::stage::resident::Resident;

use super::links::Links;

/// The prefixes, where a stage is fed from a bucket.
pub(super) fn prefixes(settings: &config::BucketConfig) -> Option<BucketConfig> {
    Some(BucketConfig {
        input: settings.input.clone()?,
        output: settings.output.clone()?,
        keep: settings.keep,
    })
}

/// Runs until it is stopped.
pub(super) fn run(
    prefixes: &BucketConfig,
    config: &Config,
    bundle: &Bundle,
    metrics: Arc<Metrics>,
) -> Result<(), Failure> {
    let part = config.stage.part;
    let resident = Resident::load(bundle, part, &config.backend.names, &config.backend.options())?;
    let folder = object::open_folder(&config.store)?;
    let folder = folder.ok_or_else(|| Failure::usage("--bucket-input needs --store"))?;
    let mut broker = match &config.bucket.events {
        Some(topic) => {
            let links = Links::of_reader(config)?;
            let mut broker = links.connect_for("events")?;
            broker.subscribe(topic)?;
            metrics.health.watch(broker.probe());
            Some(broker)
        }
        None => None,
    };
    let mut bucket = Bucket::new(folder, resident, metrics, prefixes.clone()).or_exit(Exit::Usage)?;
    let every = Duration::from_secs(config.bucket.every_s().into());
    let mut watchdog = Alive::new();
    log::info!(
        "event=ready takes=objects input={} output={}",
        prefixes.input,
        prefixes.output
    );
    alive::ready();
    loop {
        watchdog.tick();
        if let Err(why) = bucket.look() {
            log::warn!(
                "event=bucket_not_read code={} why={:?}",
                why.exit() as u8,
                why.to_string()
            );
        }
        let wait = every.min(watchdog.longest_wait());
        match &mut broker {
            Some(broker) => wait_for_event(broker, wait),
            None => std::thread::sleep(wait),
        }
    }
}

/// Until an event has come, or this time is over. What events say is not looked at: the listing knows.
fn wait_for_event(broker: &mut impl Broker, wait: Duration) {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match broker.receive(left) {
            Ok(Some(delivery)) => {
                if let Err(why) = broker.ack(delivery.token) {
                    log::debug!("event=not_acknowledged why={:?}", why.to_string());
                }
                return;
            }
            Ok(None) if !left.is_zero() => {}
            Ok(None) | Err(_) => return,
        }
    }
}
