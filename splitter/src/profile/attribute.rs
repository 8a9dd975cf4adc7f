//! From kernels, which are what an engine runs after fusing, to nodes, which are what can be cut.
//!
//! A kernel belongs to the node whose name, or one of whose outputs' names, the engine still says; engines append to
//! such names (`conv1.matmul`, `conv1/bias`), so a name counts up to any mark. A kernel that only says an operator goes to the
//! next node of that operator, as tract's `If` does. One that says neither goes to the
//! same node as the kernel before it: engines put what they add, like moving data to another layout, beside what needs it.
//!
//! An engine that fuses `Conv → Clip` or `Conv → Add` runs one matrix kernel and names it after the last of them. Its work is
//! the convolution's: a matrix kernel whose node has no such work goes back to the nearest node before it that has, else a
//! cut between the two would look as if it moved the work.
//!
//! What the whole run takes beyond its kernels, or less, is spread over all of them in proportion, so that the nodes
//! add up to the run as it was measured; how much that was is told.

use std::collections::HashMap;

use kerf_wire::Profile;

use crate::graph::{Graph, NodeId};

/// What each node of a graph takes on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Milliseconds of each node, in the graph's order; 0 for what was fused into another or is constant.
    pub ms: Vec<f64>,
    /// Half a 95 % interval of each.
    pub noise_ms: Vec<f64>,
    /// Kernels whose node was found by name, milliseconds.
    pub by_name_ms: f64,
    /// Kernels that went to their neighbour's node, milliseconds.
    pub by_position_ms: f64,
    /// The run less its kernels, milliseconds: spread in proportion.
    pub residual_ms: f64,
    /// True where the engine gave no kernels and the run was spread by MACs and bytes.
    pub is_guess: bool,
}

/// Attributes a profile's kernels to the graph's nodes.
pub fn attribute(graph: &Graph, profile: &Profile) -> Attribution {
    if profile.kernels.is_empty() {
        return guess(graph, profile);
    }
    let names = names(graph);
    let mut found = Attribution {
        ms: vec![0.0; graph.nodes().len()],
        noise_ms: vec![0.0; graph.nodes().len()],
        by_name_ms: 0.0,
        by_position_ms: 0.0,
        residual_ms: profile.residual_ms(),
        is_guess: false,
    };
    let mut noise_squared = vec![0.0; graph.nodes().len()];
    let first = graph.node_ids().find(|id| !graph.node(*id).is_constant);
    let mut before = first.unwrap_or(NodeId(0));
    for kernel in &profile.kernels {
        let said = kernel.covers.iter().chain(std::iter::once(&kernel.name));
        let by_name = said.into_iter().find_map(|name| find(&names, name));
        let by_name = by_name.or_else(|| next_of(graph, before, &kernel.name));
        let by_name = by_name.map(|node| {
            if is_matrix_kernel(&kernel.op) {
                worker(graph, node)
            } else {
                node
            }
        });
        let total = if by_name.is_some() {
            &mut found.by_name_ms
        } else {
            &mut found.by_position_ms
        };
        *total += kernel.ms.median;
        before = by_name.unwrap_or(before);
        if let Some(ms) = found.ms.get_mut(before.index()) {
            *ms += kernel.ms.median;
            noise_squared[before.index()] += ((kernel.ms.high - kernel.ms.low) / 2.0).powi(2);
        }
    }
    let kernels_ms = profile.kernels_ms();
    let scale = if kernels_ms > 0.0 {
        profile.run_ms.median / kernels_ms
    } else {
        0.0
    };
    found.ms.iter_mut().for_each(|ms| *ms *= scale);
    found.noise_ms = noise_squared
        .iter()
        .map(|squared: &f64| squared.sqrt() * scale)
        .collect();
    found
}

/// The next node behind this one with this operator.
fn next_of(graph: &Graph, before: NodeId, op: &str) -> Option<NodeId> {
    graph
        .node_ids()
        .skip(before.index() + 1)
        .find(|id| graph.node(*id).op == op && !graph.node(*id).is_constant)
}

/// Parts of the names that engines give to kernels that multiply matrices or convolve.
const MATRIX_KERNELS: [&str; 5] = ["matmul", "conv", "gemm", "einsum", "innerproduct"];
/// Operators with such work.
const MATRIX_OPERATORS: [&str; 4] = ["Conv", "MatMul", "Gemm", "Einsum"];
/// Most nodes that one kernel is taken to have fused.
const MOST_FUSED: usize = 8;

fn is_matrix_kernel(op: &str) -> bool {
    let op = op.to_lowercase();
    // Packing is a kernel of its own, which says the right name.
    MATRIX_KERNELS.iter().any(|part| op.contains(part)) && !op.contains("pack")
}

fn is_matrix_operator(op: &str) -> bool {
    MATRIX_OPERATORS.iter().any(|part| op.contains(part))
}

/// The node itself where it has matrix work, else the nearest before it, by way of values that nothing else reads.
fn worker(graph: &Graph, node: NodeId) -> NodeId {
    let mut here = node;
    for _ in 0..MOST_FUSED {
        if is_matrix_operator(&graph.node(here).op) {
            return here;
        }
        let private = graph.node(here).needs().filter_map(|v| {
            let value = graph.value(v);
            let producer = value
                .producer()
                .filter(|_| !value.is_constant && value.consumers.len() == 1)?;
            Some((is_matrix_operator(&graph.node(producer).op), producer))
        });
        match private.max() {
            Some((_, producer)) => here = producer,
            None => return node,
        }
    }
    node
}

/// Without kernels: in proportion to MACs, and to bytes moved as if sixteen of them were worth one MAC.
fn guess(graph: &Graph, profile: &Profile) -> Attribution {
    let weight = |id: NodeId| {
        let node = graph.node(id);
        if node.is_constant {
            return 0.0;
        }
        let bytes: u64 = node.makes().filter_map(|v| graph.value(v).bytes()).sum();
        node.macs.unwrap_or(0) as f64 + bytes as f64 / 16.0
    };
    let weights: Vec<f64> = graph.node_ids().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    let share = |weight: &f64| if sum > 0.0 { weight / sum } else { 0.0 };
    let ms: Vec<f64> = weights.iter().map(|w| share(w) * profile.run_ms.median).collect();
    Attribution {
        // Nothing is known of a share but its order of magnitude.
        noise_ms: ms.iter().map(|ms| ms / 2.0).collect(),
        ms,
        by_name_ms: 0.0,
        by_position_ms: 0.0,
        residual_ms: profile.run_ms.median,
        is_guess: true,
    }
}

fn names(graph: &Graph) -> HashMap<&str, NodeId> {
    let mut names = HashMap::new();
    for id in graph.node_ids() {
        let node = graph.node(id);
        if !node.name.is_empty() {
            names.entry(node.name.as_str()).or_insert(id);
        }
        for value in node.makes() {
            names.entry(graph.value(value).name.as_str()).or_insert(id);
        }
    }
    names
}

/// The node of the longest name that `said` begins with, up to its end or a mark.
fn find(names: &HashMap<&str, NodeId>, said: &str) -> Option<NodeId> {
    let marks = said
        .char_indices()
        .filter(|(_, c)| !c.is_alphanumeric() && *c != '_')
        .map(|(at, _)| at);
    let mut ends: Vec<usize> = marks.collect();
    ends.push(said.len());
    ends.into_iter()
        .rev()
        .find_map(|end| names.get(said.get(..end)?).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_up_to_a_mark_and_the_longest_wins() {
        let names: HashMap<&str, NodeId> =
            [("conv1", NodeId(1)), ("conv1.bias", NodeId(2)), ("/a/b_1", NodeId(3))].into();
        assert_eq!(find(&names, "conv1"), Some(NodeId(1)));
        assert_eq!(find(&names, "conv1.matmul"), Some(NodeId(1)));
        assert_eq!(find(&names, "conv1.bias.add"), Some(NodeId(2)));
        assert_eq!(find(&names, "/a/b_1/reshape"), Some(NodeId(3)));
        assert_eq!(find(&names, "conv10"), None);
        assert_eq!(find(&names, "/a/b"), None);
    }
}
