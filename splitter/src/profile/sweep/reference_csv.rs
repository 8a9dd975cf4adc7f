//! The reference tool's CSV files, all generations: `time_table.csv` (its header repeated for each repetition, `tensorLength`
//! once spelt `tensorLenght`; the oldest with `Time1` … `Time4`), `…_final.csv`, `…_avg.csv` and
//! `profiler_time_table.csv`. Times are seconds there.
//!
//! Two rows lead each repetition: `NO_SPLIT` on the device, then `NO_SPLIT` in the cloud.

use std::collections::HashMap;

use super::records::{Record, quoted, records};
use super::{FORMAT, MAX_ROWS, Row, Sweep, TableError, Way};

const NO_SPLIT: &str = "NO_SPLIT";
const VALUE: &str = "SplitLayer";

/// Reads one file; `name` is what the table is called.
///
/// # Errors
/// When a line is no row, or there are too many.
pub fn read(bytes: &[u8], name: &str) -> Result<Sweep, TableError> {
    let mut columns = Columns::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut repetition = None;
    for record in records(bytes)? {
        if rows.len() >= MAX_ROWS {
            return Err(TableError::OverLimit(format!("more than {MAX_ROWS} rows")));
        }
        if record.field(0) == VALUE {
            columns = Columns::of(&record);
            repetition = Some(repetition.map_or(0, |r: u32| r + 1));
            continue;
        }
        let Some(repetition) = repetition else {
            return Err(TableError::Line {
                line: record.line,
                what: format!("expected a header that begins with {VALUE}"),
            });
        };
        rows.push(columns.row(&record, repetition, &rows)?);
    }
    Ok(Sweep {
        format: FORMAT,
        tool: "reference tool".into(),
        model: name.to_owned(),
        sha256: None,
        notes: Vec::new(),
        rows,
    })
}

#[derive(Default)]
struct Columns(HashMap<String, usize>);

impl Columns {
    fn of(header: &Record) -> Self {
        let names = header.fields.iter().cloned().enumerate();
        Self(names.map(|(index, name)| (name, index)).collect())
    }

    /// The figure in the first of these columns that is there; empty cells are none.
    fn number(&self, record: &Record, names: &[&str]) -> Result<Option<f64>, TableError> {
        let Some(index) = names.iter().find_map(|name| self.0.get(*name)) else {
            return Ok(None);
        };
        let text = record.field(*index);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
            _ => Err(TableError::Line {
                line: record.line,
                what: format!(
                    "column {}: expected a number that is not negative, got {text:?}",
                    names[0]
                ),
            }),
        }
    }

    fn row(&self, record: &Record, repetition: u32, before: &[Row]) -> Result<Row, TableError> {
        let value = record.field(0);
        let leads = before.iter().rev().take_while(|row| row.repetition == repetition);
        let way = match (value, leads.filter(|row| row.way == Way::Edge).count()) {
            (NO_SPLIT, 0) => Way::Edge,
            (NO_SPLIT, _) => Way::Cloud,
            _ => Way::Split,
        };
        let ms = |names: &[&str]| Ok::<f64, TableError>(self.number(record, names)?.unwrap_or(0.0) * 1e3);
        let count = |names: &[&str]| -> Result<Option<u64>, TableError> {
            let number = self.number(record, names)?;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "`as` saturates; not negative"
            )]
            Ok(number.map(|n| n as u64))
        };
        let layer = self.number(record, &["LayerInfTimeEdge", "singleLayerInfTime"])?;
        let op = self.0.get("OpType").map(|index| record.field(*index));
        Ok(Row {
            way,
            value: if way == Way::Split {
                value.to_owned()
            } else {
                String::new()
            },
            repetition,
            head_ms: ms(&["1stInfTime", "Time1"])?,
            tail_ms: ms(&["2ndInfTime", "Time2"])?,
            save_ms: ms(&["tensorSaveTime"])?,
            load_ms: ms(&["tensorLoadTime"])?,
            network_ms: ms(&["networkingTime"])?,
            job_ms: ms(&["oscarJobTime", "Time3"])?,
            pod_ms: ms(&["kubePodTime", "Time4"])?,
            elements: count(&["tensorLength", "tensorLenght", "TensorLength"])?.unwrap_or(0),
            payload_bytes: None,
            layer_ms: layer.filter(|_| way == Way::Split).map(|seconds| seconds * 1e3),
            op: op.filter(|op| !op.is_empty()).map(str::to_owned),
            params: count(&["NrParameters"])?,
            cloud: None,
        })
    }
}

/// Writes a table as `time_table.csv`: the header before each repetition, times in seconds.
pub fn write(sweep: &Sweep) -> String {
    const HEADER: &str = "SplitLayer,1stInfTime,2ndInfTime,oscarJobTime,kubePodTime,tensorSaveTime,tensorLoadTime,tensorLength,\
                          networkingTime\n";
    let mut text = String::new();
    let mut rows: Vec<&Row> = sweep.rows.iter().collect();
    // Stable: the order of a repetition stays, device and cloud lead.
    rows.sort_by_key(|row| (row.repetition, row.way as u8));
    let mut repetition = None;
    for row in rows {
        if repetition != Some(row.repetition) {
            text += HEADER;
            repetition = Some(row.repetition);
        }
        let seconds = |ms: f64| (ms / 1e3).to_string();
        let fields = [
            quoted(if row.way == Way::Split { &row.value } else { NO_SPLIT }),
            seconds(row.head_ms),
            seconds(row.tail_ms),
            seconds(row.job_ms),
            seconds(row.pod_ms),
            seconds(row.save_ms),
            seconds(row.load_ms),
            row.elements.to_string(),
            seconds(row.network_ms),
        ];
        text += &fields.join(",");
        text.push('\n');
    }
    text
}
