//! `kerf profile --link`: what it costs to move a frame over a broker, as a document that `kerf plan` takes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kerf_runtime::broker::Broker as _;
use kerf_runtime::broker::mqtt::{BrokerUrl, Credentials, MqttBroker, MqttConfig, TlsConfig};
use kerf_runtime::bundle::read_bounded;
use kerf_runtime::config::StoreConfig;
use kerf_runtime::measure::link::{LinkPlan, MeasuredLink, ProbeTopics, answer_probes, measure_link};
use kerf_runtime::measure::store::measure_store;
use kerf_runtime::object;
use kerf_wire::profile::{LINK_FORMAT, LinkProfile, StoreCost};

use super::super::table::{bytes, ms, table};
use super::super::{print, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};

/// Longest password file or certificate, bytes.
const MAX_SECRET_BYTES: u64 = 1024 * 1024;
/// Frames up to this many bytes travel on the broker where the stages are not told otherwise.
const INLINE_BYTES: u64 = 96 * 1024;
/// Faster than this a line cannot be told from none.
const FASTEST_KBIT_S: f64 = 1e9;

/// Which link, and how to get onto its broker.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Link")]
pub struct LinkArgs {
    /// Measure the link to this broker instead of a model: mqtt://HOST:PORT or mqtts://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub link: Option<String>,
    /// The same broker as the other end reaches it, where this machine can too: its way from the broker is then measured as well.
    #[arg(long, value_name = "URL", requires = "link", conflicts_with = "respond")]
    pub far: Option<String>,
    /// Be the other end: answer the probes of `kerf profile --link URL --answered`, until stopped.
    #[arg(long, requires = "link")]
    pub respond: bool,
    /// Somebody answers at the other end (`--respond` there).
    #[arg(long, requires = "link", conflicts_with = "far")]
    pub answered: bool,
    /// The device whose topics are used; no stage of this name may run meanwhile.
    #[arg(long, default_value = "kerf-probe", requires = "link", value_name = "NAME")]
    pub probe_device: String,
    /// User on the broker.
    #[arg(long, requires = "link", value_name = "NAME")]
    pub broker_user: Option<String>,
    /// File with the user's password.
    #[arg(long, requires = "broker_user", value_name = "FILE")]
    pub broker_password_file: Option<PathBuf>,
    /// Certificate authority of the broker, PEM.
    #[arg(long, requires = "link", value_name = "FILE")]
    pub broker_ca: Option<PathBuf>,
    /// Where frames too large for the broker go: it is measured too, by objects that are put, fetched and removed.
    #[command(flatten)]
    pub store: StoreConfig,
    /// The same store as the other end reaches it; without it objects are fetched from here.
    #[arg(long, value_name = "URL", requires_all = ["link", "store-url"])]
    pub far_store: Option<String>,
    /// Frames of more bytes than this will go to the store (`--inline-bytes` of the stages).
    #[arg(long, default_value_t = INLINE_BYTES, requires = "link", value_name = "BYTES")]
    pub store_above: u64,
    /// Begin no more probes after this; it ends earlier when every size shows the same time again.
    #[arg(long, default_value_t = 20.0, requires = "link", value_name = "SECONDS")]
    pub link_most: f64,
}

impl LinkArgs {
    fn connect(&self, url: &str, name: &str) -> Result<MqttBroker, Failure> {
        let url: BrokerUrl = url.parse().or_exit(Exit::Usage)?;
        let mut config = MqttConfig::new(url, format!("{}-{name}-{}", self.probe_device, std::process::id()));
        let read = |file: &PathBuf| read_bounded(file, MAX_SECRET_BYTES).or_exit(Exit::Usage);
        if let Some(user) = &self.broker_user {
            let password = self
                .broker_password_file
                .as_ref()
                .map(read)
                .transpose()?
                .unwrap_or_default();
            let password = String::from_utf8(password).or_exit(Exit::Usage)?;
            config.credentials = Some(Credentials {
                user: user.clone(),
                password: password.trim_end().to_owned(),
            });
        }
        config.tls = TlsConfig {
            ca: self.broker_ca.as_ref().map(read).transpose()?,
            identity: None,
        };
        Ok(MqttBroker::connect(config)?)
    }

    fn most(&self) -> Result<Duration, Failure> {
        Duration::try_from_secs_f64(self.link_most)
            .map_err(|why| Failure::usage(format!("--link-most {}: {why}", self.link_most)))
    }

    fn topics(&self) -> ProbeTopics {
        ProbeTopics {
            there: format!("kerf/{}/frames/probe", self.probe_device),
            back: format!("kerf/{}/receipt", self.probe_device),
        }
    }
}

/// Measures a link, or answers whoever does.
pub(super) fn run(args: &LinkArgs, output: Option<&Path>) -> Result<(), Failure> {
    let url = args.link.as_deref().unwrap_or_default();
    if args.respond {
        let mut broker = args.connect(url, "far")?;
        broker.subscribe(&args.topics().there)?;
        log::info!("event=ready answering probes on {url}");
        return Ok(answer_probes(&mut broker, &args.topics(), || true)?);
    }
    let measured = measure(args, url)?;
    let mut document = document(args, url, &measured);
    document.store = store(args)?;
    if let Some(path) = output {
        write_whole(path, document.to_json().or_exit(Exit::Bug)?.as_bytes())?;
    }
    print(&text(&document))
}

fn measure(args: &LinkArgs, url: &str) -> Result<MeasuredLink, Failure> {
    let plan = LinkPlan {
        most: args.most()?,
        is_answered: args.answered || args.far.is_some(),
    };
    let mut near = args.connect(url, "near")?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} sizes have settled, {elapsed} gone") {
        bar.set_style(style);
    }
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let topics = args.topics();
    let measured = match &args.far {
        None => measure_link(&mut near, &topics, &plan, progress),
        Some(far) => {
            let mut far = args.connect(far, "far")?;
            far.subscribe(&topics.there)?;
            let goes_on = AtomicBool::new(true);
            std::thread::scope(|scope| {
                let answering = scope.spawn(|| answer_probes(&mut far, &topics, || goes_on.load(Ordering::Relaxed)));
                let measured = measure_link(&mut near, &topics, &plan, progress);
                goes_on.store(false, Ordering::Relaxed);
                let answered = answering
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                answered.and(measured)
            })
        }
    };
    bar.finish_and_clear();
    Ok(measured?)
}

/// The object store, where one is named.
fn store(args: &LinkArgs) -> Result<Option<StoreCost>, Failure> {
    let Some(mut near) = object::open(&args.store)? else {
        return Ok(None);
    };
    let far = StoreConfig {
        url: args.far_store.clone().or_else(|| args.store.url.clone()),
        ..args.store.clone()
    };
    let Some(mut far) = object::open(&far)? else {
        return Ok(None);
    };
    let measured = measure_store(near.as_mut(), far.as_mut(), args.most()?)?;
    let (put, fetch) = (measured.put_cost(), measured.fetch_cost());
    Ok(Some(StoreCost {
        url: args.store.url.clone().unwrap_or_default(),
        above_bytes: args.store_above,
        put_ms: put.fixed_ms,
        put_ns_byte: put.ns_byte,
        fetch_ms: fetch.fixed_ms,
        fetch_ns_byte: fetch.ns_byte,
    }))
}

fn document(args: &LinkArgs, url: &str, measured: &MeasuredLink) -> LinkProfile {
    let kbit_s = |ms_byte: f64| (8.0 / ms_byte.max(1e-12)).min(FASTEST_KBIT_S);
    let far = match (&args.far, args.answered) {
        (Some(far), _) => far.clone(),
        (None, true) => "answered".to_owned(),
        (None, false) => String::new(),
    };
    LinkProfile {
        format: LINK_FORMAT,
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).into(),
        broker: url.to_owned(),
        far,
        uplink_kbit_s: kbit_s(measured.up_ms_byte),
        downlink_kbit_s: kbit_s(measured.down_ms_byte),
        rtt_ms: measured.rtt_ms,
        frame_ms: measured.frame_ms,
        noise: measured.noise,
        points: measured.up.clone(),
        store: None,
    }
}

fn text(link: &LinkProfile) -> String {
    let rows: Vec<[String; 4]> = link
        .points
        .iter()
        .map(|point| {
            let line = link.rtt_ms.median + link.frame_ms + point.bytes as f64 * 8.0 / link.uplink_kbit_s;
            [
                bytes(point.bytes),
                ms(point.ms.median),
                ms(line),
                point.ms.runs.to_string(),
            ]
        })
        .collect();
    let mut text = format!(
        "{}up {:.0} kbit/s, down {:.0} kbit/s, RTT {} ms, {} ms a frame beside it; sizes are within {:.1} % of that line\n",
        table(["BYTES", "MS", "LINE", "RUNS"], &rows, 0),
        link.uplink_kbit_s,
        link.downlink_kbit_s,
        ms(link.rtt_ms.median),
        ms(link.frame_ms),
        link.noise * 100.0
    );
    if let Some(store) = &link.store {
        let mb_s = |ns_byte: f64| 1e3 / ns_byte.max(1e-6);
        let _ = writeln!(
            text,
            "store {}: {} ms to put and {:.0} MB/s, {} ms to fetch and {:.0} MB/s; for frames above {}",
            store.url,
            ms(store.put_ms),
            mb_s(store.put_ns_byte),
            ms(store.fetch_ms),
            mb_s(store.fetch_ns_byte),
            bytes(store.above_bytes)
        );
    }
    text
}
