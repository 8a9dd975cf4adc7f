//! A model that also gives what flows inside it, so that one run shows every value that could cross a cut.

use std::collections::HashSet;

use prost::Message as _;

use crate::graph::{Graph, Kind, ValueId};
use crate::onnx::declare;
use crate::onnx::proto::ModelProto;
use kerf_wire::manifest::Axis;

/// The model with these values as further outputs, as a file's bytes. Those that the file does not name at its top level (bodies
/// of functions) are left out.
pub(super) fn tapped(model: &ModelProto, graph: &Graph, values: &[ValueId]) -> Vec<u8> {
    let mut model = model.clone();
    if let Some(inside) = &mut model.graph {
        let made: HashSet<String> = inside
            .node
            .iter()
            .flat_map(|node| node.output.iter().cloned())
            .collect();
        let outputs: HashSet<String> = inside.output.iter().filter_map(|o| o.name.clone()).collect();
        let named = values.iter().map(|id| graph.value(*id));
        let taps = named.filter(|value| made.contains(&value.name) && !outputs.contains(&value.name));
        inside.output.extend(taps.map(|value| {
            let element = match value.kind {
                Kind::Tensor(element) => Some(element),
                Kind::Other(_) | Kind::Unknown => None,
            };
            // Engines want at least the number of dimensions.
            let shape = value.shape.as_deref().map(|axes| axes.iter().map(dimension).collect());
            declare::declared(&value.name, element, shape)
        }));
    }
    model.encode_to_vec()
}

fn dimension(axis: &Axis) -> declare::Dim {
    match axis {
        Axis::Fixed(length) => declare::fixed(u64::from(*length)),
        Axis::Symbol(name) => declare::named(name),
    }
}
