//! What a node costs: parameters and multiply-accumulate operations.

use std::collections::HashSet;

use super::{Graph, Origin};
use crate::onnx::Model;

/// Fills in each node's params and macs.
pub(super) fn count(graph: &mut Graph, model: &Model) {
    let mut seen = HashSet::new();
    for index in 0..graph.nodes.len() {
        let needs: Vec<_> = graph.nodes[index].needs().collect();
        let mut params = 0_u64;
        for value in needs {
            if let Origin::Initialiser(initialiser) = graph.value(value).origin
                && let Some(initialiser) = model.initialisers.get(initialiser)
                && initialiser.element.is_float()
                && seen.insert(value)
            {
                params = params.saturating_add(initialiser.elements);
            }
        }
        graph.nodes[index].params = params;
    }
}
