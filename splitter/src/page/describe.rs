//! Values and constants as text.

use kerf_wire::manifest::Axis;

use super::limits::MAX_LISTED_CONSTANTS;
use crate::graph::{Graph, Kind, Node, Origin, Value, ValueId};

/// `f32 [1, 3, 224, 224]`, as far as it is known.
pub(super) fn describe(value: &Value) -> String {
    let kind = match value.kind {
        Kind::Tensor(element) => element.to_string(),
        Kind::Other(kind) => kind.to_owned(),
        Kind::Unknown => "?".to_owned(),
    };
    let axis = |axis: &Axis| match axis {
        Axis::Fixed(n) => n.to_string(),
        Axis::Symbol(name) => name.clone(),
    };
    let shape = value.shape.as_ref().map_or_else(
        || "[…]".to_owned(),
        |axes| format!("[{}]", axes.iter().map(axis).collect::<Vec<_>>().join(", ")),
    );
    format!("{kind} {shape}")
}

/// What a node reads that depends on no input: initialisers, and constant nodes back to their roots. A constant node
/// that several nodes read stands with the first.
pub(super) fn constants(graph: &Graph, node: &Node, owned: &mut [bool]) -> Vec<String> {
    let mut found = Vec::new();
    let mut more = 0_usize;
    let mut waiting: Vec<ValueId> = node.needs().collect();
    while let Some(id) = waiting.pop() {
        let value = graph.value(id);
        let text = match value.origin {
            Origin::Initialiser(_) | Origin::Sparse(_) => format!("{} {}", value.name, describe(value)),
            Origin::Node(maker) if value.is_constant => {
                let Some(first_time) = owned.get_mut(maker.index()).filter(|seen| !**seen) else {
                    continue;
                };
                *first_time = true;
                waiting.extend(graph.node(maker).needs());
                format!("{} → {} {}", graph.node(maker).op, value.name, describe(value))
            }
            _ => continue,
        };
        if found.len() < MAX_LISTED_CONSTANTS {
            found.push(text);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        found.push(format!("… and {more} more"));
    }
    found
}
