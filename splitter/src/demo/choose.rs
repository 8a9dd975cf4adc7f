//! Which cut the demo shows, and why.
//!
//! Owns: one rule that needs no measurement. Must not know: processes, files.
//! For a decision from measured profiles and links there is `kerf plan`.

use crate::cut::{Cut, Cutter};
use crate::exit::{Exit, Failure};
use crate::graph::{Graph, NodeId};

/// The head does at most this share of the work: a board is slower than a cloud.
const HEAD_SHARE_MAX: f64 = 0.5;
const MULTIPLY_ADDS: &str = "multiply-adds";
const NODES: &str = "nodes";

/// A cut that may be taken.
struct Candidate {
    cut: Cut,
    bytes: u64,
    share: f64,
}

/// The smallest value at which the graph can be cut alone with at most half of its work before the cut.
///
/// # Errors
/// When the graph has none.
pub(super) fn choose(graph: &Graph) -> Result<(Cut, String), Failure> {
    let counted = graph.nodes().iter().all(|node| node.macs.is_some());
    let unit = if counted { MULTIPLY_ADDS } else { NODES };
    let candidates = candidates(graph, unit);
    let count = candidates.len();
    // The first of equals has the least work before it.
    let best = candidates.into_iter().min_by_key(|candidate| candidate.bytes);
    let best = best.ok_or_else(|| {
        let share = HEAD_SHARE_MAX * 100.0;
        Failure::new(
            Exit::NoCut,
            anyhow::anyhow!("no legal single cut with at most {share} % of the work before it"),
        )
    })?;
    let why = format!(
        "of the {count} values that can cross alone with at most half of the {unit} before them it is the smallest; the head \
         has {:.0} %",
        best.share * 100.0
    );
    Ok((best.cut, why))
}

/// Work before a cut, of all; 0 where the graph has none. A graph with a node whose multiply-adds are not known is measured
/// in nodes instead, and the verdict says so.
fn head_share(graph: &Graph, cut: &Cut, unit: &str) -> f64 {
    let work = |node: NodeId| {
        if unit == NODES {
            1
        } else {
            graph.node(node).macs.unwrap_or(0)
        }
    };
    let total: u64 = graph.node_ids().map(work).sum();
    let head: u64 = graph.node_ids().filter(|node| cut.is_head(*node)).map(work).sum();
    if total == 0 { 0.0 } else { head as f64 / total as f64 }
}

fn candidates(graph: &Graph, unit: &str) -> Vec<Candidate> {
    let cutter = Cutter::new(graph);
    let made = graph.node_ids().flat_map(|node| graph.node(node).makes());
    let candidate = |value| {
        let cut = cutter.cut(&[value]).ok()?;
        let (bytes, share) = (cut.bytes(graph)?, head_share(graph, &cut, unit));
        (share > 0.0 && share <= HEAD_SHARE_MAX).then_some(Candidate { cut, bytes, share })
    };
    made.filter_map(candidate).collect()
}
