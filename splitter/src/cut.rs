//! Cuts: sets of values that part a graph into what runs before and what runs behind.
//!
//! Owns: whether a set of values is a legal cut and why not, what crosses it, chains of cuts.
//! Must not know: files, costs, engines. Start at [`Cut::new`]; for many cuts of one graph at [`Cutter`].
//!
//! A cut is legal when no node behind it needs a value from before it that does not cross. Every node is on one side:
//! before, if a crossing value depends on it; behind, if it depends on a crossing value. Of the rest, a node that only
//! leads to graph outputs stays with the values that it needs, any other runs behind from graph inputs that nothing
//! before the cut uses. Nodes that depend on no input are on both sides, as needed, and never cross.

mod cutter;
mod illegal;
mod nearest;
mod partition;

use kerf_wire::CutId;

pub use cutter::Cutter;
pub use illegal::Illegal;
pub use nearest::{complete, nearest_legal};
pub use partition::{Part, Partition};

use crate::graph::{Graph, NodeId, ValueId};

/// A legal cut of one graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    at: Vec<ValueId>,
    crossing: Vec<ValueId>,
    head: Vec<bool>,
}

impl Cut {
    /// The cut at these values.
    ///
    /// # Errors
    /// When it is not legal; the reason names the value and the node.
    pub fn new(graph: &Graph, at: &[ValueId]) -> Result<Self, Illegal> {
        Cutter::new(graph).cut(at)
    }

    /// The values that define it, in the graph's order.
    pub fn at(&self) -> &[ValueId] {
        &self.at
    }

    /// All that travels: the values that define it, graph inputs that only the tail needs, graph outputs that the head
    /// already makes; in the graph's order, which is the frame's.
    pub fn crossing(&self) -> &[ValueId] {
        &self.crossing
    }

    /// True for a node that runs before the cut. Nodes that depend on no input are on neither side.
    pub fn is_head(&self, node: NodeId) -> bool {
        self.head.get(node.index()).copied().unwrap_or(false)
    }

    /// Its id, as frames carry it.
    pub fn id(&self, graph: &Graph) -> CutId {
        CutId::of(self.crossing.iter().map(|v| graph.value(*v).name.as_str()))
    }

    /// Bytes of the raw tensors that cross, at the assumed shapes; none where a shape is not known.
    pub fn bytes(&self, graph: &Graph) -> Option<u64> {
        self.crossing
            .iter()
            .try_fold(0_u64, |sum, v| sum.checked_add(graph.value(*v).bytes()?))
    }

    /// Its values' names.
    pub fn names<'g>(&self, graph: &'g Graph) -> Vec<&'g str> {
        self.at.iter().map(|v| graph.value(*v).name.as_str()).collect()
    }
}
