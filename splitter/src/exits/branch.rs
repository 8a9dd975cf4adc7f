//! Which outputs are early exits, and what only they need.
//!
//! The trunk is what the output with the most nodes behind it needs. An exit is another output with nodes of its own, its
//! branch. Nothing here looks at names. Where to cut for an exit is [`crate::cut`]'s business.

use crate::graph::{Graph, NodeId, ValueId};

/// One exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The graph output.
    pub output: ValueId,
    /// Nodes that only this output needs.
    pub nodes: Vec<NodeId>,
    /// Values of the trunk that the branch begins with.
    pub from: Vec<ValueId>,
}

/// Why there is no such exit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// The model has one output only.
    #[error("the model has one output: an exit is a second one that answers earlier")]
    OneOutput,
    /// The output is the last, or lies on the way to it.
    #[error("output {0:?} is no exit: the model's last output depends on it, or is it")]
    OnTheTrunk(String),
    /// No output of this name.
    #[error("the model has no output {name:?}; it has {known}")]
    NoOutput {
        /// The name.
        name: String,
        /// Those that it has.
        known: String,
    },
}

/// The exits of these names, or all where none is named, nearest to the input first.
///
/// # Errors
/// When a name is no exit.
pub fn branches(graph: &Graph, names: &[String]) -> Result<Vec<Branch>, BranchError> {
    if graph.outputs().len() < 2 {
        return Err(BranchError::OneOutput);
    }
    let needed: Vec<Vec<bool>> = graph.outputs().iter().map(|output| ancestors(graph, *output)).collect();
    // The trunk belongs to the output that needs the most nodes; of equals the last.
    let weight = |at: &usize| needed.get(*at).map_or(0, |n| n.iter().filter(|x| **x).count());
    let Some(last) = (0..needed.len()).max_by_key(weight) else {
        return Err(BranchError::OneOutput);
    };
    let chosen: Vec<usize> = if names.is_empty() {
        (0..needed.len()).filter(|at| *at != last).collect()
    } else {
        names.iter().map(|name| place(graph, name)).collect::<Result<_, _>>()?
    };
    let trunk = needed.get(last).map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    for at in chosen {
        let (Some(&output), Some(own)) = (graph.outputs().get(at), needed.get(at)) else {
            continue;
        };
        match branch(graph, output, own, trunk) {
            Ok(branch) if at != last => found.push(branch),
            // A tap of the trunk is an output and no exit; only one that was asked for is an error.
            Err(BranchError::OnTheTrunk(_)) if names.is_empty() => {}
            Err(why) => return Err(why),
            Ok(_) => return Err(BranchError::OnTheTrunk(graph.value(output).name.clone())),
        }
    }
    let before = |branch: &Branch| ancestors(graph, branch.output).into_iter().filter(|n| *n).count();
    found.sort_by_key(before);
    Ok(found)
}

fn place(graph: &Graph, name: &str) -> Result<usize, BranchError> {
    let names = || graph.outputs().iter().map(|v| graph.value(*v).name.as_str());
    names().position(|n| n == name).ok_or_else(|| BranchError::NoOutput {
        name: name.to_owned(),
        known: names().collect::<Vec<_>>().join(", "),
    })
}

/// The nodes that a value depends on.
fn ancestors(graph: &Graph, value: ValueId) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    let mut waiting: Vec<NodeId> = graph.value(value).producer().into_iter().collect();
    while let Some(node) = waiting.pop() {
        let Some(seen) = needed.get_mut(node.index()).filter(|seen| !**seen) else {
            continue;
        };
        *seen = true;
        waiting.extend(graph.node(node).needs().filter_map(|v| graph.value(v).producer()));
    }
    needed
}

fn branch(graph: &Graph, output: ValueId, own: &[bool], trunk: &[bool]) -> Result<Branch, BranchError> {
    let name = || graph.value(output).name.clone();
    let is = |set: &[bool], node: NodeId| set.get(node.index()).copied().unwrap_or(false);
    let live = |node: &NodeId| !graph.node(*node).is_constant;
    let nodes: Vec<NodeId> = graph
        .node_ids()
        .filter(live)
        .filter(|n| is(own, *n) && !is(trunk, *n))
        .collect();
    if nodes.is_empty() {
        return Err(BranchError::OnTheTrunk(name()));
    }
    let mut from: Vec<ValueId> = Vec::new();
    for value in nodes.iter().flat_map(|n| graph.node(*n).needs()) {
        let made_by_trunk = graph.value(value).producer().is_none_or(|n| is(trunk, n));
        if made_by_trunk && !graph.value(value).is_constant && !from.contains(&value) {
            from.push(value);
        }
    }
    Ok(Branch { output, nodes, from })
}
