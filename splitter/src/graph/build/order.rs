//! Topological order of a model's nodes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::{Build, invalid};
use crate::onnx::ReadError;
use crate::onnx::proto::NodeProto;

impl Build<'_> {
    /// Kahn's algorithm; among the nodes that are ready, the file's order.
    pub(super) fn topological_order(&self) -> Result<Vec<usize>, ReadError> {
        let nodes = &self.model.nodes;
        let mut maker: HashMap<&str, usize> = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            if node.proto.op_type().is_empty() {
                return invalid(format!("node {index} ({:?}) has no operator", node.proto.name()));
            }
            for name in node.proto.output.iter().filter(|n| !n.is_empty()) {
                if maker.insert(name, index).is_some() {
                    return invalid(format!("value {name:?} is made twice"));
                }
            }
        }
        let mut waits = vec![0_u32; nodes.len()];
        let mut unlocks: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            for name in self.needs(index) {
                if let Some(from) = maker.get(name) {
                    waits[index] += 1;
                    unlocks[*from].push(index);
                } else if !self.graph.by_name.contains_key(name) {
                    let node = label(&node.proto, index);
                    return invalid(format!("node {node} needs value {name:?}, which nothing makes"));
                }
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(|i| waits[*i] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(Reverse(index)) = ready.pop() {
            order.push(index);
            for next in &unlocks[index] {
                waits[*next] -= 1;
                if waits[*next] == 0 {
                    ready.push(Reverse(*next));
                }
            }
        }
        match (0..nodes.len()).find(|i| waits[*i] > 0) {
            Some(stuck) => invalid(format!(
                "nodes need each other in a circle, node {} among them or behind them",
                label(&nodes[stuck].proto, stuck)
            )),
            None => Ok(order),
        }
    }

    fn needs(&self, index: usize) -> impl Iterator<Item = &str> {
        let inputs = self.model.nodes[index].proto.input.iter();
        inputs
            .chain(&self.captured[index])
            .map(String::as_str)
            .filter(|n| !n.is_empty())
    }
}

fn label(proto: &NodeProto, index: usize) -> String {
    format!("{index} ({} {:?})", proto.op_type(), proto.name())
}
