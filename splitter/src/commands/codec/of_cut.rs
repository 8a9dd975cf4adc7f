//! What a survey measures at one cut: every codec, and what they are compared with.
//!
//! Owns: which codecs and steps have a row. Must not know: how rows are shown. Start at [`of_cut`].

use kerf_runtime::tensor::Tensor;
use kerf_wire::CodecId;
use kerf_wire::codec::{Codec, Packer, Quantiser};

use super::decorrelate;
use super::survey::Row;
use crate::codec::decorrelate::judge;
use crate::codec::{self, Blocks, Score, Trial};
use crate::exit::Failure;

/// Steps of the `dct` rows, in quarter octaves about half a standard deviation; one between two of them is added where the
/// loss comes to `--max-loss`.
const COARSENESS: [i8; 11] = [-8, -6, -4, -2, 0, 2, 4, 6, 8, 10, 12];
/// Quantisers that are shown with every packer; bf16 shows little that f16 does not.
const PACKED: [Quantiser; 5] = [
    Quantiser::Raw,
    Quantiser::F16,
    Quantiser::Int8,
    Quantiser::Int8Channel,
    Quantiser::Int4,
];
/// Steps of the textbook's quantiser, in standard deviations.
const UNIFORM: [f64; 9] = [0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0];

/// How the rows of [`OfCut::decorrelated`] begin.
pub(super) const DECORRELATED: &str = "decorrelated dct";

/// In standard deviations.
fn step(coarseness: i8) -> f32 {
    codec::BASE_STEP * 2.0_f32.powf(f32::from(coarseness) / 4.0)
}

/// Rows of one cut, in the order in which they are measured.
struct OfCut<'a> {
    name: &'a str,
    raw_bytes: f64,
    trial: &'a mut Trial,
    rows: Vec<Row>,
}

/// Every row of one cut.
///
/// # Errors
/// When a codec refuses a tensor, or a part does not run.
pub(super) fn of_cut(
    name: &str,
    raw_bytes: f64,
    trial: &mut Trial,
    max_loss: f64,
    decorrelate: bool,
) -> Result<Vec<Row>, Failure> {
    let mut of_cut = OfCut {
        name,
        raw_bytes,
        trial,
        rows: Vec::new(),
    };
    for quantiser in PACKED {
        of_cut.packed(quantiser)?;
    }
    for (blocks, label) in [(Blocks::Longest, "dct"), (Blocks::One, "dct 1x1")] {
        of_cut.with_tables(blocks, label, max_loss)?;
    }
    if decorrelate {
        of_cut.decorrelated()?;
    }
    for step in UNIFORM {
        let score = codec::uniform(of_cut.trial, step)?;
        of_cut.push(format!("(uniform step {step})"), score, None);
    }
    Ok(of_cut.rows)
}

impl OfCut<'_> {
    fn push(&mut self, codec: String, score: Score, used: Option<Codec>) {
        self.rows.push(Row {
            cut: self.name.to_owned(),
            codec,
            score,
            is_codec: used.is_some(),
            used,
            raw_bytes: self.raw_bytes,
        });
    }

    /// A row a packer: packing loses nothing, so the parts behind the cut run once.
    fn packed(&mut self, quantiser: Quantiser) -> Result<(), Failure> {
        let built = |packer: Packer| packer != Packer::Zstd || cfg!(feature = "zstd");
        // One of each kind for a survey: the bitmap shows little that the others do not.
        let shown = |packer: Packer| built(packer) && (packer != Packer::Bitmap || quantiser == Quantiser::Int8);
        let mut judged: Option<Score> = None;
        for (id, _, _) in CodecId::all().filter(|(_, q, p)| *q == quantiser && shown(*p)) {
            let codecs = vec![Codec::plain(id); self.trial.values().len()];
            let score = match &judged {
                Some(judged) => self.trial.repacked(&codecs, judged)?,
                None => self.trial.score(&codecs)?,
            };
            judged = Some(score);
            self.push(id.to_string(), score, codecs.first().cloned());
        }
        Ok(())
    }

    /// A row a step of `dct` on components: no codec of this model, but what one of the decorrelated model would do.
    fn decorrelated(&mut self) -> Result<(), Failure> {
        if let [value, others @ ..] = self.trial.values()
            && !others.is_empty()
        {
            log::warn!(
                "event=not-decorrelated value={value:?} {} more values cross with it",
                others.len()
            );
            return Ok(());
        }
        let transform = decorrelate::fitted(self.trial, 0, decorrelate::FITTING)?;
        for coarseness in COARSENESS {
            let codec = |tensors: &[&Tensor]| codec::codec(tensors, Blocks::Longest, coarseness);
            let score = judge(self.trial, &transform, codec)?;
            self.push(format!("({DECORRELATED} step {:.2})", step(coarseness)), score, None);
        }
        Ok(())
    }

    /// A row a step, and one more a quarter of an octave above the coarsest whose loss is allowed.
    fn with_tables(&mut self, blocks: Blocks, label: &str, max_loss: f64) -> Result<(), Failure> {
        let mut attempt = |coarseness: i8| -> Result<bool, Failure> {
            let codecs = codec::codecs(self.trial, blocks, coarseness);
            let score = self.trial.score(&codecs)?;
            let label = format!("{label} step {:.2}", step(coarseness));
            self.push(label, score, codecs.first().cloned());
            Ok(score.loss() <= max_loss)
        };
        let mut coarsest = None;
        for (index, coarseness) in COARSENESS.into_iter().enumerate() {
            if attempt(coarseness)? {
                coarsest = Some((index, coarseness));
            }
        }
        if let Some((index, coarseness)) = coarsest {
            attempt(coarseness + 1)?;
            // Behind the row that it is next to.
            let from = self.rows.len().saturating_sub(COARSENESS.len() - index);
            self.rows.get_mut(from..).unwrap_or_default().rotate_right(1);
        }
        Ok(())
    }
}
