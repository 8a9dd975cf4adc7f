//! A chain of cuts, as parts: which nodes each one runs, what enters it and what leaves it.

use kerf_wire::limits::MAX_HOPS;

use super::{Cut, Illegal};
use crate::graph::{Graph, NodeId, Origin, ValueId};

/// A graph in parts. Part 0 is the head, the last the tail.
#[derive(Debug, Clone)]
pub struct Partition {
    /// The parts in order.
    pub parts: Vec<Part>,
    /// `cuts[k]` lies between part k and part k + 1.
    pub cuts: Vec<Cut>,
}

/// What one stage runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its nodes in topological order, the copied constant ones included.
    pub nodes: Vec<NodeId>,
    /// Values that it needs from outside: graph inputs and crossing values, in the graph's order.
    pub inputs: Vec<ValueId>,
    /// Values that it makes and that leave it, in the graph's order; graph outputs of the last part in the model's.
    pub outputs: Vec<ValueId>,
    /// Initialisers (sparse ones too) that it needs, in the graph's order.
    pub initialisers: Vec<ValueId>,
}

impl Partition {
    /// The partition along these cuts, in the order of flow; none gives one part.
    ///
    /// # Errors
    /// When a cut does not lie behind the one before it, or there are too many.
    pub fn new(graph: &Graph, cuts: Vec<Cut>) -> Result<Self, Illegal> {
        if cuts.len() >= MAX_HOPS {
            return Err(Illegal::TooManyParts { got: cuts.len() + 1 });
        }
        let useful = useful(graph);
        // The part of a node is the number of cuts that it lies behind.
        let part_of = |node: NodeId| cuts.iter().filter(|cut| !cut.is_head(node)).count();
        for (index, pair) in cuts.windows(2).enumerate() {
            let [before, behind] = pair else { continue };
            let out_of_order = graph
                .node_ids()
                .find(|n| useful[n.index()] && before.is_head(*n) && !behind.is_head(*n));
            let adds = graph.node_ids().any(|n| behind.is_head(n) && !before.is_head(n));
            if out_of_order.is_some() || !adds {
                let value = out_of_order.and_then(|n| graph.node(n).makes().next());
                let value = value.or(behind.at().first().copied());
                return Err(Illegal::OutOfOrder {
                    index: index + 2,
                    value: value.map_or_else(String::new, |v| graph.value(v).name.clone()),
                });
            }
        }
        let parts = (0..=cuts.len())
            .map(|k| {
                let mine = |n: &NodeId| useful[n.index()] && part_of(*n) == k;
                let nodes: Vec<NodeId> = graph.node_ids().filter(mine).collect();
                let leaving = match cuts.get(k) {
                    Some(cut) => cut.crossing(),
                    None => graph.outputs(),
                };
                part(graph, nodes, leaving, k == cuts.len())
            })
            .collect();
        Ok(Self { parts, cuts })
    }
}

impl Part {
    /// All that lies between these values and those: whatever `to` needs, up to `from` and the graph's inputs.
    pub fn between(graph: &Graph, from: &[ValueId], to: &[ValueId]) -> Self {
        let mut taken = vec![false; graph.nodes().len()];
        let mut open: Vec<ValueId> = to.to_vec();
        while let Some(value) = open.pop() {
            let producer = graph.value(value).producer().filter(|_| !from.contains(&value));
            if let Some(producer) = producer.filter(|p| !graph.node(*p).is_constant)
                && !std::mem::replace(&mut taken[producer.index()], true)
            {
                open.extend(graph.node(producer).needs());
            }
        }
        let nodes = graph.node_ids().filter(|n| taken[n.index()]).collect();
        part(graph, nodes, to, true)
    }
}

/// Nodes that depend on an input and lead to an output.
fn useful(graph: &Graph) -> Vec<bool> {
    let mut useful = vec![false; graph.nodes().len()];
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        let leads = |v: ValueId| graph.value(v).is_output || graph.value(v).consumers.iter().any(|c| useful[c.index()]);
        useful[index] = !node.is_constant && node.makes().any(leads);
    }
    useful
}

fn part(graph: &Graph, own: Vec<NodeId>, leaving: &[ValueId], is_last: bool) -> Part {
    let mut made = vec![false; graph.values().len()];
    let mut taken = vec![false; graph.nodes().len()];
    let mut nodes = own;
    // A constant that is a graph output leaves with the last part.
    let constant_outputs = leaving
        .iter()
        .copied()
        .filter(|v| is_last && graph.value(*v).is_constant);
    let mut open: Vec<ValueId> = constant_outputs.collect();
    for id in &nodes {
        taken[id.index()] = true;
        open.extend(graph.node(*id).needs());
        graph.node(*id).makes().for_each(|v| made[v.index()] = true);
    }
    let (mut inputs, mut initialisers) = (Vec::new(), Vec::new());
    while let Some(value) = open.pop() {
        let about = graph.value(value);
        match about.origin {
            Origin::Initialiser(_) | Origin::Sparse(_) => initialisers.push(value),
            Origin::Node(producer) if about.is_constant => {
                if !std::mem::replace(&mut taken[producer.index()], true) {
                    nodes.push(producer);
                    open.extend(graph.node(producer).needs());
                    graph.node(producer).makes().for_each(|v| made[v.index()] = true);
                }
            }
            Origin::Input(_) | Origin::Node(_) => {
                if !made[value.index()] {
                    inputs.push(value);
                }
            }
        }
    }
    for list in [&mut inputs, &mut initialisers] {
        list.sort_unstable();
        list.dedup();
    }
    nodes.sort_unstable();
    let is_initialiser = |v: &ValueId| is_last && initialisers.binary_search(v).is_ok();
    let outputs = leaving
        .iter()
        .copied()
        .filter(|v| made[v.index()] || is_initialiser(v))
        .collect();
    Part {
        nodes,
        inputs,
        outputs,
        initialisers,
    }
}
