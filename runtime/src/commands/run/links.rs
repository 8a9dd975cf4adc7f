//! From settings to links: the broker's connection, the device's name, the topics.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use kerf_runtime::broker::mqtt::{BrokerUrl, Credentials, MqttBroker, MqttConfig, TlsConfig};
use kerf_runtime::broker::topics::Topics;
use kerf_runtime::broker::{Broker, Message};
use kerf_runtime::bundle::{Bundle, read_bounded};
use kerf_runtime::config::{self, BrokerConfig, Config, StoreConfig, read_secret};
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::object::ObjectStore;
use kerf_runtime::stage::keep::WhenFull;
use kerf_runtime::stage::status::Status;
use kerf_runtime::step::Step;
use kerf_runtime::wire::{DeviceId, InferenceResult};

use super::store;

/// First level of every topic where none is configured.
const TOPIC_PREFIX: &str = "kerf";
/// Longest certificate or key file, bytes.
const MAX_PEM_BYTES: u64 = 1024 * 1024;
/// Frames up to this many bytes travel on the broker, unless configured: AWS IoT Core takes packets of 128 KiB.
const INLINE_BYTES: usize = 96 * 1024;
/// Room for a packet's topic and properties.
const PACKET_ROOM_BYTES: usize = 64 * 1024;
/// Bytes of frames that may wait at a stage behind the first, and how many they are at least and at most: all that one
/// head has out.
const WAITING_BYTES: usize = 24 * 1024 * 1024;
const FEWEST_WAITING: u16 = 16;
const MOST_WAITING: u16 = 256;
/// How long a result may wait for the outgoing slot before this is told again.
const PUBLISH_WAIT: Duration = Duration::from_secs(5);

/// Where this stage is linked to.
pub(crate) struct Links {
    pub(crate) device: DeviceId,
    pub(crate) topics: Topics,
    broker: BrokerConfig,
    when_full: WhenFull,
    /// None for a reader, which has no status.
    part: Option<usize>,
    bundle: String,
    /// What runs the part, and each step down to it.
    backend: Option<&'static str>,
    warnings: Vec<String>,
    store: StoreConfig,
}

impl Links {
    pub(super) fn new(config: &Config, bundle: &Bundle, part: usize, step: &Step) -> Result<Self, Failure> {
        let mut links = Self::of_reader(config)?;
        links.part = Some(part);
        links.bundle = bundle.id().to_string();
        links.backend = step.backend();
        links.warnings = step.warnings().to_vec();
        Ok(links)
    }

    /// Links without a part.
    pub(crate) fn of_reader(config: &Config) -> Result<Self, Failure> {
        let prefix = config.broker.topic_prefix.as_deref().unwrap_or(TOPIC_PREFIX);
        let name = config.stage.device.clone().unwrap_or_else(host_name);
        let device = DeviceId::new(&name).map_err(|why| Failure::usage(format!("device {name:?}: {why}")))?;
        let when_full = match config.spool.when_full.unwrap_or_default() {
            config::WhenFull::RefuseNew => WhenFull::RefuseNew,
            config::WhenFull::DropOldest => WhenFull::DropOldest,
        };
        Ok(Self {
            device,
            topics: Topics::new(prefix).or_exit(Exit::Usage)?,
            broker: config.broker.clone(),
            when_full,
            part: None,
            bundle: String::new(),
            backend: None,
            warnings: Vec::new(),
            store: config.store.clone(),
        })
    }

    pub(super) fn when_full(&self) -> WhenFull {
        self.when_full
    }

    /// Connects; the first answer must be a good one.
    pub(crate) fn connect(&self) -> Result<MqttBroker, Failure> {
        let mut mqtt = self.mqtt()?;
        mqtt.will = self.part.map(|part| self.status(part, "offline"));
        mqtt.birth = self.part.map(|part| self.status(part, "online"));
        Ok(MqttBroker::connect(mqtt)?)
    }

    /// A second connection, for this purpose.
    pub(super) fn connect_for(&self, purpose: &str) -> Result<MqttBroker, Failure> {
        let mut mqtt = self.mqtt()?;
        mqtt.client_id = format!("{}-{purpose}", mqtt.client_id);
        Ok(MqttBroker::connect(mqtt)?)
    }

    fn mqtt(&self) -> Result<MqttConfig, Failure> {
        let url = self.broker.url.as_deref();
        let url = url.ok_or_else(|| Failure::usage("--broker mqtt://HOST:PORT is needed"))?;
        let url: BrokerUrl = url.parse().or_exit(Exit::Usage)?;
        let mut mqtt = MqttConfig::new(url, self.client_id());
        mqtt.credentials = self.credentials()?;
        if let Some(seconds) = self.broker.keep_alive_s {
            mqtt.keep_alive = Duration::from_secs(seconds.into());
        }
        mqtt.packet_bytes_max = self.packet_bytes_max();
        if self.part.is_some_and(|part| part > 0) {
            mqtt.receive_max = self.receive_max();
        }
        mqtt.tls = self.tls()?;
        Ok(mqtt)
    }

    /// Room for the largest inline frame, or for a result.
    fn packet_bytes_max(&self) -> u32 {
        let inline = self.inline_bytes().saturating_add(PACKET_ROOM_BYTES);
        u32::try_from(inline)
            .unwrap_or(u32::MAX)
            .max(MqttConfig::PACKET_BYTES_MAX)
    }

    /// Frames that the broker may have out to a stage behind the first: the more, the further it sees past a device that
    /// floods it.
    fn receive_max(&self) -> u16 {
        let fitting = WAITING_BYTES / self.inline_bytes().max(1);
        u16::try_from(fitting)
            .unwrap_or(u16::MAX)
            .clamp(FEWEST_WAITING, MOST_WAITING)
    }

    /// Frames up to this many bytes travel on the broker.
    pub(super) fn inline_bytes(&self) -> usize {
        self.broker.inline_bytes.unwrap_or(INLINE_BYTES)
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let read = |file: &Option<PathBuf>| {
            file.as_ref()
                .map(|f| read_bounded(f, MAX_PEM_BYTES).or_exit(Exit::Usage))
                .transpose()
        };
        let identity = match (read(&self.broker.cert)?, read(&self.broker.key)?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(Failure::usage("--broker-cert and --broker-key belong together")),
        };
        Ok(TlsConfig {
            ca: read(&self.broker.ca)?,
            identity,
        })
    }

    /// A head has one connection; others may be many of one name.
    fn client_id(&self) -> String {
        let (device, process) = (&self.device, std::process::id());
        match self.part {
            Some(0) => format!("kerf-{device}-0"),
            Some(part) => format!("kerf-{device}-{part}-{process}"),
            None => format!("kerf-{device}-reader-{process}"),
        }
    }

    fn status(&self, part: usize, state: &str) -> Message {
        let document = serde_json::json!({
            "state": state,
            "device": self.device.as_str(),
            "part": part,
            "bundle": self.bundle,
            "backend": self.backend,
            "warnings": self.warnings,
            "version": env!("CARGO_PKG_VERSION"),
        });
        let mut message = Message::new(self.topics.status(&self.device, part), document.to_string());
        message.retain = true;
        message
    }

    /// The counters on the status topic, so often.
    pub(super) fn status_every(&self, seconds: u32) -> Option<Status> {
        let part = self.part.filter(|_| seconds > 0)?;
        let every = Duration::from_secs(seconds.into());
        Some(Status::new(self.status(part, "online"), every))
    }

    /// The object store for frames too large for the broker; none where none is configured.
    pub(super) fn store(&self) -> Result<Option<Box<dyn ObjectStore>>, Failure> {
        store::open(&self.store, &self.device)
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let Some(user) = self.broker.user.clone() else {
            return Ok(None);
        };
        let password = match &self.broker.password_file {
            Some(file) => read_secret(file)?,
            None => std::env::var("KERF_BROKER_PASSWORD").unwrap_or_default(),
        };
        Ok(Some(Credentials { user, password }))
    }

    /// Publishes results of a stage that needs no broker, where one is configured.
    pub(super) fn publisher(&self) -> Result<Publisher, Failure> {
        let broker = match self.broker.url {
            Some(_) => Some(self.connect()?),
            None => None,
        };
        Ok(Publisher {
            broker,
            topic: self.topics.result(&self.device),
        })
    }
}

/// Results to a broker, or to nobody.
pub(super) struct Publisher {
    broker: Option<MqttBroker>,
    topic: String,
}

impl Publisher {
    /// Hands a result over; one that the broker does not take is logged.
    pub(super) fn publish(&mut self, result: &InferenceResult) {
        let Some(broker) = &mut self.broker else {
            return;
        };
        let outcome = match serde_json::to_vec(result) {
            Ok(json) => broker.publish(&Message::new(self.topic.clone(), Bytes::from(json)), PUBLISH_WAIT),
            Err(why) => {
                log::error!("event=not_published frame={} why={:?}", result.frame, why.to_string());
                return;
            }
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => log::warn!(
                "event=not_published frame={} why=\"the broker takes nothing\"",
                result.frame
            ),
            Err(why) => log::warn!("event=not_published frame={} why={:?}", result.frame, why.to_string()),
        }
    }
}

/// The machine's name, made fit for a topic.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '-'
        }
    };
    let name: String = name
        .trim()
        .trim_start_matches('.')
        .chars()
        .take(48)
        .map(plain)
        .collect();
    if name.is_empty() { "device".to_owned() } else { name }
}
