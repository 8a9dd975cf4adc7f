//! The demo's table and verdict.
//!
//! Owns: what is shown, and what counts as equal. Must not know: processes.

use kerf_wire::result::Output;

use super::example::Example;
use super::stages::{Answer, Answers, key};
use super::table::{self, Align, Column};
use crate::commands::print;
use crate::cut::Cut;
use crate::exit::{Exit, Failure};
use crate::graph::Graph;

/// Largest max|a−b| / max|b| of answers of one engine that count as equal; `kerf verify` has the same.
const DIFFERENCE_MAX: f64 = 1e-4;
/// Longest answer in the table, characters.
const ANSWER_CHARACTERS: usize = 18;
/// Longest whole-model answer in the table, characters.
const WHOLE_CHARACTERS: usize = 14;

const COLUMNS: [Column; 8] = [
    ("photo", Align::Left),
    ("answer and\nconfidence", Align::Left),
    ("whole-model\nanswer", Align::Left),
    ("equal?", Align::Left),
    ("head\nms", Align::Right),
    ("bytes on\nthe wire", Align::Right),
    ("transfer\nms", Align::Right),
    ("tail\nms", Align::Right),
];

/// The demo's answers, compared.
pub(super) struct Report {
    rows: Vec<[String; 8]>,
    differing: Vec<String>,
    difference_max: f64,
}

impl Report {
    /// Compares each picture's answer with the whole model's.
    ///
    /// # Errors
    /// When an answer is missing or has no numbers to compare.
    pub(super) fn new(example: &Example, parts: &Answers, whole: &Answers) -> Result<Self, Failure> {
        let mut report = Self {
            rows: Vec::new(),
            differing: Vec::new(),
            difference_max: 0.0,
        };
        for picture in &example.pictures {
            let name = key(picture);
            let missing = || Failure::new(Exit::Bug, anyhow::anyhow!("{name} has no answer to compare"));
            let (part, whole) = (
                parts.get(&name).ok_or_else(missing)?,
                whole.get(&name).ok_or_else(missing)?,
            );
            let difference = difference(&part.result.outputs, &whole.result.outputs).ok_or_else(missing)?;
            let same_class = part.result.top.first().map(|t| t.index) == whole.result.top.first().map(|t| t.index);
            let equal = same_class && difference <= DIFFERENCE_MAX;
            report.difference_max = report.difference_max.max(difference);
            report.rows.push(row(&name, part, whole, equal));
            if !equal {
                report.differing.push(name);
            }
        }
        Ok(report)
    }

    /// Prints the table and the verdict.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn print(&self, verdict: &str) -> Result<(), Failure> {
        let equal = self.rows.len() - self.differing.len();
        let text = format!(
            "{}\n{equal} of {} answers equal the whole model's (largest difference {:.1e} of the largest output).\n{verdict}\n",
            table::render(&COLUMNS, &self.rows),
            self.rows.len(),
            self.difference_max,
        );
        print(&text)
    }

    /// Done where every answer equals the whole model's.
    ///
    /// # Errors
    /// [`Exit::PartsDiffer`] with the pictures that differ.
    pub(super) fn outcome(&self) -> Result<(), Failure> {
        if self.differing.is_empty() {
            return Ok(());
        }
        let names = self.differing.join(", ");
        Err(Failure::new(
            Exit::PartsDiffer,
            anyhow::anyhow!("the parts answer otherwise than the whole model: {names}"),
        ))
    }
}

/// Which cut was used and why.
pub(super) fn verdict(graph: &Graph, cut: &Cut, why: &str) -> String {
    let input = graph
        .inputs()
        .iter()
        .filter_map(|value| graph.value(*value).bytes())
        .sum::<u64>() as f64;
    let crossing = cut.bytes(graph).unwrap_or_default() as f64;
    let saves = if crossing < input {
        ""
    } else {
        " A cut here saves no bytes."
    };
    format!(
        "Cut at {}:\n{why}.\n{:.1} KB cross as they are, the input has {:.1} KB.{saves}",
        cut.names(graph).join(", "),
        crossing / 1e3,
        input / 1e3
    )
}

fn row(name: &str, part: &Answer, whole: &Answer, equal: bool) -> [String; 8] {
    let label = |answer: &Answer, most: usize| {
        // ImageNet's labels are lists of synonyms.
        let first = answer
            .result
            .top
            .first()
            .map_or("?", |top| top.label.split(',').next().unwrap_or("?"));
        table::shorten(first, most)
    };
    let confidence = part.result.top.first().map_or(0.0, |top| top.score * 100.0);
    let confidence = format!("{confidence:.0} %");
    let answer = label(part, ANSWER_CHARACTERS - confidence.len() - 1);
    [
        name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned(),
        format!("{answer} {confidence}"),
        label(whole, WHOLE_CHARACTERS),
        if equal { "yes" } else { "NO" }.to_owned(),
        hop_ms(part, 0),
        part.frame_bytes.to_string(),
        part.transfer_ms.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.1}")),
        hop_ms(part, 1),
    ]
}

/// All that one stage did to a frame, ms.
fn hop_ms(answer: &Answer, index: usize) -> String {
    let hop = answer.result.hops.get(index);
    hop.map_or_else(
        || "?".to_owned(),
        |hop| format!("{:.1}", hop.decode_ms + hop.run_ms + hop.encode_ms),
    )
}

/// The largest max|a−b| / max|b| over the outputs; none where an output is missing or has no numbers.
fn difference(a: &[Output], b: &[Output]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let mut largest = 0.0_f64;
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (numbers(a)?, numbers(b)?);
        if a.len() != b.len() {
            return None;
        }
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0_f64, f64::max);
        let apart = most(&mut a.iter().zip(&b).map(|(a, b)| (a - b).abs()));
        let scale = most(&mut b.iter().map(|b| b.abs()));
        largest = largest.max(if apart == 0.0 { 0.0 } else { apart / scale });
    }
    Some(largest)
}

/// An output's elements.
fn numbers(output: &Output) -> Option<Vec<f64>> {
    fn flatten(value: &serde_json::Value, into: &mut Vec<f64>) -> Option<()> {
        match value {
            serde_json::Value::Array(items) => items.iter().try_for_each(|item| flatten(item, into)),
            number => {
                into.push(number.as_f64()?);
                Some(())
            }
        }
    }
    let mut numbers = Vec::new();
    flatten(output.data.as_ref()?, &mut numbers)?;
    Some(numbers)
}
