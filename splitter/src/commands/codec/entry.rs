//! What a survey found, entered into a profile, so that a plan may take codecs that lose something but change few answers.

use std::path::Path;

use kerf_wire::codec::Codec;
use kerf_wire::profile::ValueCost;

use super::survey::Row;
use crate::commands::profile::read_profile;
use crate::commands::write_whole;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::onnx::Model;

/// Enters each surveyed value into a profile. What the profile's own machine took stays; a codec that it was not measured with
/// enters as it was here. A codec with tables has several rows a value and a profile holds one: the cheapest that loses little.
/// Gives the number of entries.
pub(super) fn enter(file: &Path, model: &Model, rows: &[Row]) -> Result<usize, Failure> {
    let mut profile = read_profile(file)?;
    let sha256 = model.digest().or_exit(Exit::ModelRefused)?;
    if profile.model.sha256 != sha256 {
        return Err(Failure::usage(format!(
            "{} is a profile of another model: expected SHA-256 {sha256}, got {}",
            file.display(),
            profile.model.sha256
        )));
    }
    let mut entered = std::collections::BTreeSet::new();
    for row in rows {
        let Some(codec) = &row.used else { continue };
        let cost = profile.codecs.entry(codec.id.to_string()).or_default();
        let mut value = value(row, codec);
        match cost.values.get(&row.cut) {
            Some(there) if is_better(there, &value) && entered.contains(&(codec.id.to_string(), row.cut.clone())) => {
                continue;
            }
            Some(there) if there.loss.is_none() => {
                (value.encode_ms, value.decode_ms) = (there.encode_ms, there.decode_ms);
            }
            _ => {}
        }
        if cost.values.is_empty() {
            let ns_byte = |ms: f64| ms * 1e6 / row.raw_bytes.max(1.0);
            cost.encode_ns_byte = ns_byte(value.encode_ms);
            cost.decode_ns_byte = ns_byte(value.decode_ms);
            cost.ratio = value.bytes as f64 / row.raw_bytes.max(1.0);
        }
        cost.relative_error = cost.relative_error.max(value.relative_error);
        cost.values.insert(row.cut.clone(), value);
        entered.insert((codec.id.to_string(), row.cut.clone()));
    }
    write_whole(file, profile.to_json().or_exit(Exit::Bug)?.as_bytes())?;
    Ok(entered.len())
}

/// A loss that most will take.
const USUAL_LOSS: f64 = 0.01;

/// True where a surveyed row that is there already stays: a codec with tables has several.
fn is_better(there: &ValueCost, new: &ValueCost) -> bool {
    let (Some(there_loss), Some(new_loss)) = (there.loss, new.loss) else {
        return false;
    };
    match (there_loss <= USUAL_LOSS, new_loss <= USUAL_LOSS) {
        (true, true) => there.bytes <= new.bytes,
        (true, false) => true,
        (false, true) => false,
        (false, false) => there_loss <= new_loss,
    }
}

fn value(row: &Row, codec: &Codec) -> ValueCost {
    let score = &row.score;
    // Megabytes a second are bytes a microsecond.
    let ms = |mb_s: f64| row.raw_bytes / mb_s.max(1e-6) * 1e-3;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a length; `as` saturates"
    )]
    let bytes = score.payload_bytes.ceil() as u64;
    ValueCost {
        bytes,
        encode_ms: ms(score.encode_mb_s),
        decode_ms: ms(score.decode_mb_s),
        relative_error: score.relative_error,
        loss: Some(score.loss()),
        table: codec.to_manifest().table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_codecs_rows_the_cheapest_that_loses_little_stays() {
        let row = |bytes, loss| ValueCost {
            bytes,
            loss: Some(loss),
            ..ValueCost::default()
        };
        assert!(is_better(&row(100, 0.0), &row(200, 0.0)));
        assert!(!is_better(&row(200, 0.0), &row(100, 0.01)));
        assert!(is_better(&row(200, 0.0), &row(100, 0.2)));
        assert!(!is_better(&row(50, 0.3), &row(100, 0.2)));
        // What was measured without data gives way to what was judged on it.
        assert!(!is_better(&ValueCost::default(), &row(100, 0.5)));
    }
}
