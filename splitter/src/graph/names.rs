//! Names of values: what a body captures from outside, and what a wrong name may have meant.

use std::collections::{BTreeSet, HashSet};

use super::Graph;
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto};

/// Names of outer values that a node's bodies use. ONNX forbids a body to hide an outer name, so a name that a body
/// does not make is captured.
pub(super) fn captured(node: &NodeProto) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for body in node.attribute.iter().flat_map(bodies) {
        free_names(body, &mut names);
    }
    names
}

/// The graphs that an attribute holds.
pub(crate) fn bodies(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.as_deref().into_iter().chain(&attribute.graphs)
}

/// Depth is bounded: the scan refused what is deeper than [`crate::limits::MAX_BODY_DEPTH`].
fn free_names(body: &GraphProto, outer: &mut BTreeSet<String>) {
    let mut used = BTreeSet::new();
    let mut made: HashSet<&str> = HashSet::new();
    made.extend(body.input.iter().map(|i| i.name()));
    made.extend(body.initializer.iter().map(|i| i.name()));
    made.extend(
        body.sparse_initializer
            .iter()
            .map(|s| s.values.as_ref().map_or("", |v| v.name())),
    );
    for node in &body.node {
        made.extend(node.output.iter().map(String::as_str));
        used.extend(node.input.iter().cloned());
        used.extend(captured(node));
    }
    used.extend(body.output.iter().map(|o| o.name().to_owned()));
    outer.extend(
        used.into_iter()
            .filter(|name| !name.is_empty() && !made.contains(name.as_str())),
    );
}

/// The names in the graph that are most like a wrong one, best first.
pub fn nearest_names(graph: &Graph, wrong: &str, most: usize) -> Vec<String> {
    let lower = wrong.to_lowercase();
    let mut scored: Vec<(f64, &str)> = graph
        .values()
        .iter()
        .filter(|v| v.producer().is_some())
        .map(|v| {
            let name = v.name.to_lowercase();
            let contains = !lower.is_empty() && (name.contains(&lower) || lower.contains(&name));
            let likeness = strsim::normalized_damerau_levenshtein(&lower, &name) + if contains { 0.5 } else { 0.0 };
            (likeness, v.name.as_str())
        })
        .filter(|(likeness, _)| *likeness > 0.3)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(most).map(|(_, name)| name.to_owned()).collect()
}
