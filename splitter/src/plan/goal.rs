//! Goals: what "best" means, and the integer prices that a case has under each.

use serde::{Deserialize, Serialize};

use super::case::{Case, Encoding};
use super::network::{Crossing, Price, Prices};
use super::search::Objective;

/// What the best cut is best at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// From a frame taken to its answer.
    Latency,
    /// Frames a second of a full pipeline: the slowest stage or link.
    Throughput,
    /// What the device draws: computing, sending, waiting.
    Energy,
    /// Bytes that leave any machine.
    Bytes,
    /// Cloud time, traffic and requests.
    Money,
}

/// Which encoding each value takes over each link: `[value][link]`, an index into its encodings.
pub type EncodingChoice = Vec<Vec<usize>>;

impl Goal {
    /// How prices add up under this goal.
    pub fn objective(self) -> Objective {
        match self {
            Self::Throughput => Objective::Slowest,
            _ => Objective::Sum,
        }
    }

    /// What one unit of price is: milliseconds in a nanosecond, joules in a nanojoule, …
    pub fn unit(self) -> f64 {
        match self {
            Self::Latency | Self::Throughput => 1e-6,
            Self::Energy | Self::Money => 1e-9,
            Self::Bytes => 1.0,
        }
    }

    /// The unit's name for tables.
    pub fn unit_name(self) -> &'static str {
        match self {
            Self::Latency | Self::Throughput => "ms",
            Self::Energy => "J",
            Self::Bytes => "bytes",
            Self::Money => "money",
        }
    }

    /// A price in physical units, rounded to whole [`Goal::unit`]s. Not finite or too large becomes a price that
    /// [`Prices::total`] refuses.
    pub fn price(self, amount: f64) -> Price {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates: negative is 0, too large is the largest, which is refused later"
        )]
        let price = (amount / self.unit()).round() as Price;
        price
    }

    /// What these milliseconds of computing on a tier amount to.
    fn compute(self, case: &Case, tier: usize, ms: f64) -> f64 {
        let machine = &case.tiers[tier];
        match self {
            Self::Latency | Self::Throughput => ms,
            Self::Energy if tier == 0 => ms * 1e-3 * machine.active_watts,
            Self::Energy => ms * 1e-3 * case.tiers[0].idle_watts,
            Self::Bytes => 0.0,
            Self::Money => ms / 3.6e6 * machine.price_hour,
        }
    }

    fn transfer(self, case: &Case, link: usize, bytes: u64) -> f64 {
        let wire = &case.links[link];
        match self {
            Self::Latency | Self::Throughput => wire.transfer_ms(bytes),
            Self::Energy if link == 0 => wire.transfer_ms(bytes) * 1e-3 * wire.send_watts,
            Self::Energy => wire.transfer_ms(bytes) * 1e-3 * case.tiers[0].idle_watts,
            Self::Bytes => bytes as f64,
            Self::Money => bytes as f64 * 1e-9 * wire.price_gb,
        }
    }

    /// What using a link and the machine behind it costs a frame.
    fn link(self, case: &Case, link: usize) -> f64 {
        let wire = &case.links[link];
        let start_ms = case.tiers[link + 1].start_ms;
        let wait_ms = wire.rtt_ms + wire.frame_ms + start_ms;
        match self {
            Self::Latency => wait_ms,
            // A full pipeline does not wait for the way there and back.
            Self::Throughput => wire.frame_ms + start_ms,
            Self::Energy => wait_ms * 1e-3 * case.tiers[0].idle_watts,
            Self::Bytes => 0.0,
            Self::Money => wire.price_frame + start_ms / 3.6e6 * case.tiers[link + 1].price_hour,
        }
    }

    fn crossing(self, case: &Case, link: usize, encoding: &Encoding) -> Crossing {
        Crossing {
            encode: self.price(self.compute(case, link, encoding.encode_ms[link])),
            transfer: self.price(self.transfer(case, link, encoding.bytes)),
            decode: self.price(self.compute(case, link + 1, encoding.decode_ms[link + 1])),
        }
    }

    /// The case's prices with these encodings.
    pub fn prices(self, case: &Case, choice: &EncodingChoice) -> Prices {
        let tiers = 0..case.tiers.len();
        let links = 0..case.links.len();
        let node = |ms: &[f64]| {
            tiers
                .clone()
                .map(|t| self.price(self.compute(case, t, ms[t])))
                .collect()
        };
        let value = |index: usize| {
            let encodings = &case.values[index].encodings;
            let each = |link: usize| self.crossing(case, link, &encodings[choice[index][link]]);
            links.clone().map(each).collect()
        };
        Prices {
            node: case.nodes.iter().map(|n| node(&n.ms)).collect(),
            crossing: (0..case.values.len()).map(value).collect(),
            link: links.clone().map(|link| self.price(self.link(case, link))).collect(),
        }
    }

    /// For each value and link the encoding with the smallest price: the best choice whatever the cut, where prices add.
    pub fn cheapest_encodings(self, case: &Case) -> EncodingChoice {
        let best = |value: &super::case::ValueCost, link: usize| {
            let price = |index: &usize| self.crossing(case, link, &value.encodings[*index]).total();
            (0..value.encodings.len()).min_by_key(price).unwrap_or(0)
        };
        let links = 0..case.links.len();
        let each = |value| links.clone().map(|link| best(value, link)).collect();
        case.values.iter().map(each).collect()
    }

    /// This codec wherever a value has it, its first encoding elsewhere.
    pub fn one_codec(case: &Case, codec: &str) -> EncodingChoice {
        let index = |value: &super::case::ValueCost| value.encodings.iter().position(|e| e.codec == codec).unwrap_or(0);
        case.values
            .iter()
            .map(|value| vec![index(value); case.links.len()])
            .collect()
    }
}
