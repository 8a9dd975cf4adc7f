//! Which codecs of the profiles a plan may take, and the tables that they need.

use kerf_wire::Profile;
use kerf_wire::profile::{CodecCost, ValueCost};

use crate::plan::Plan;
use crate::plan::of_graph::{Codec, CodecValue};

/// Which codecs are taken. Without data every loss is taken for one that matters.
#[derive(Debug, Clone, clap::Args)]
pub struct CodecArgs {
    /// Only these codecs of the profiles; repeated. Raw always remains.
    #[arg(long = "codec", value_name = "NAME")]
    pub names: Vec<String>,
    /// Largest error of a crossing tensor, root mean square over root mean square; f16 has 0.0003, int8 about 0.01.
    #[arg(long, default_value_t = 0.001, value_name = "FRACTION")]
    pub codec_error: f64,
    /// Largest share of answers that may change, for codecs judged on data: `kerf codec survey --profile` enters that.
    #[arg(long, default_value_t = 0.01, value_name = "FRACTION")]
    pub codec_loss: f64,
}

impl CodecArgs {
    /// What of a machine's codecs may be taken.
    pub(crate) fn of(&self, profile: &Profile) -> Vec<Codec> {
        let named = |name: &String| self.names.is_empty() || name == "raw" || self.names.contains(name);
        let all = profile.codecs.iter().filter(|(name, _)| named(name));
        all.map(|(name, cost)| self.codec(name, cost)).collect()
    }

    fn codec(&self, name: &str, cost: &CodecCost) -> Codec {
        let good = |value: &ValueCost| match value.loss {
            Some(loss) => loss <= self.codec_loss,
            None => value.relative_error <= self.codec_error,
        };
        let figures = |cost: &ValueCost| CodecValue {
            bytes: cost.bytes,
            encode_ms: cost.encode_ms,
            decode_ms: cost.decode_ms,
        };
        let values = cost.values.iter().filter(|(_, value)| good(value));
        Codec {
            name: name.to_owned(),
            encode_ns_byte: cost.encode_ns_byte,
            decode_ns_byte: cost.decode_ns_byte,
            ratio: cost.ratio,
            // What is bad on one value may be bad on one that was not looked at.
            is_fitted: name == "dct" || cost.relative_error > self.codec_error,
            values: values.map(|(name, cost)| (name.clone(), figures(cost))).collect(),
        }
    }
}

impl Codec {
    /// On a machine this many times as fast.
    pub(crate) fn faster(&self, factor: f64) -> Self {
        let faster = |cost: &CodecValue| CodecValue {
            bytes: cost.bytes,
            encode_ms: cost.encode_ms / factor,
            decode_ms: cost.decode_ms / factor,
        };
        Self {
            encode_ns_byte: self.encode_ns_byte / factor,
            decode_ns_byte: self.decode_ns_byte / factor,
            values: self
                .values
                .iter()
                .map(|(name, cost)| (name.clone(), faster(cost)))
                .collect(),
            ..self.clone()
        }
    }
}

/// Puts the tables of the taken codecs into the plan, so that `kerf split --plan` needs nothing else.
pub(super) fn tables(plan: &mut Plan, profiles: &[Profile]) {
    let Some(device) = profiles.first() else { return };
    for cut in &mut plan.cuts {
        for (value, codec) in &cut.codecs {
            let cost = device.codecs.get(codec).and_then(|cost| cost.values.get(value));
            if let Some(table) = cost.and_then(|cost| cost.table.clone()) {
                cut.tables.insert(value.clone(), table);
            }
        }
    }
}
