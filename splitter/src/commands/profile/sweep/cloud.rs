//! The sweep's tail in a cluster: each call is a job; and the table of where its time went.

use super::super::super::table::{ms, table};
use crate::commands::cluster::Cluster;
use crate::oscar::timeline::Timeline;
use crate::profile::sweep::{Cloud, CloudCall, Row};

impl Cloud for Cluster {
    fn call(&self, input: &[u8], extension: &str) -> anyhow::Result<CloudCall> {
        let call = Self::call(self, input, extension).map_err(|failure| failure.error)?;
        let tail = call.result.hops.last();
        Ok(CloudCall {
            decode_ms: tail.map_or(0.0, |hop| hop.decode_ms),
            run_ms: tail.map_or(0.0, |hop| hop.run_ms),
            timeline: call.timeline,
        })
    }
}

/// Medians of each way's sections, ms; `ways` are named rows in the table's order.
pub(super) fn sections(ways: &[(&str, Vec<&Row>)]) -> String {
    let figure = |rows: &[&Row], of: &dyn Fn(&Timeline) -> Option<f64>| {
        let told: Vec<f64> = rows.iter().filter_map(|row| of(row.cloud.as_ref()?)).collect();
        if told.is_empty() {
            return "-".to_owned();
        }
        ms(kerf_wire::profile::Sample::of(&told).median)
    };
    let line = |(name, rows): &(&str, Vec<&Row>)| {
        [
            (*name).to_owned(),
            figure(rows, &|t| Some(t.upload_ms)),
            figure(rows, &|t| t.event_ms),
            figure(rows, &|t| t.start_ms),
            figure(rows, &|t| t.supervisor_ms),
            figure(rows, &|t| t.load_ms),
            figure(rows, &|t| t.answer_ms),
            figure(rows, &|t| t.store_ms),
            figure(rows, &|t| Some(t.rest_ms + t.download_ms)),
            figure(rows, &|t| Some(t.total_ms)),
        ]
    };
    let rows: Vec<_> = ways.iter().map(line).collect();
    let head = [
        "CUT AT", "UPLOAD", "EVENT", "START", "SUPERV", "LOAD", "ANSWER", "STORE", "BACK", "TOTAL",
    ];
    table(head, &rows, 1)
}
