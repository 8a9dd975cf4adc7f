//! On which side of a cut each node runs.

use super::Cutter;
use crate::cut::Illegal;
use crate::graph::{NodeId, ValueId};

/// Where a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Constant, or on the way to no output.
    Nowhere,
    Undecided,
    Head,
    Tail,
}

impl Cutter<'_> {
    pub(super) fn sides(&self, at: &[ValueId]) -> Result<Vec<Side>, Illegal> {
        let undecided = |useful: &bool| if *useful { Side::Undecided } else { Side::Nowhere };
        let mut sides: Vec<Side> = self.useful.iter().map(undecided).collect();
        self.mark_before(at, &mut sides);
        let crosses = self.marked(at);
        let leads_behind = self.mark_behind(&crosses, &mut sides);
        self.decide_rest(&crosses, &leads_behind, &mut sides)?;
        Ok(sides)
    }

    pub(super) fn marked(&self, at: &[ValueId]) -> Vec<bool> {
        let mut marks = vec![false; self.graph.values().len()];
        at.iter().for_each(|v| marks[v.index()] = true);
        marks
    }

    /// What a crossing value depends on.
    fn mark_before(&self, at: &[ValueId], sides: &mut [Side]) {
        let mut open: Vec<NodeId> = at.iter().filter_map(|v| self.graph.value(*v).producer()).collect();
        while let Some(id) = open.pop() {
            if sides[id.index()] == Side::Head || self.graph.node(id).is_constant {
                continue;
            }
            sides[id.index()] = Side::Head;
            open.extend(
                self.graph
                    .node(id)
                    .needs()
                    .filter_map(|v| self.graph.value(v).producer()),
            );
        }
    }

    /// What depends on a crossing value and is not before. Gives the nodes from which such a node is reached.
    fn mark_behind(&self, crosses: &[bool], sides: &mut [Side]) -> Vec<bool> {
        let nodes = self.graph.nodes();
        let mut depends = vec![false; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            depends[index] = node
                .needs()
                .any(|v| crosses[v.index()] || self.graph.value(v).producer().is_some_and(|p| depends[p.index()]));
            if depends[index] && sides[index] == Side::Undecided {
                sides[index] = Side::Tail;
            }
        }
        let mut leads = vec![false; nodes.len()];
        for (index, node) in nodes.iter().enumerate().rev() {
            leads[index] = sides[index] == Side::Tail
                || (sides[index] == Side::Undecided
                    && node
                        .makes()
                        .flat_map(|v| &self.graph.value(v).consumers)
                        .any(|c| leads[c.index()]));
        }
        leads
    }

    /// Nodes on no path through the cut.
    fn decide_rest(&self, crosses: &[bool], leads_behind: &[bool], sides: &mut [Side]) -> Result<(), Illegal> {
        for (index, node) in self.graph.nodes().iter().enumerate() {
            if sides[index] != Side::Undecided {
                continue;
            }
            let outside = |v: &ValueId| !crosses[v.index()] && !self.graph.value(*v).is_constant;
            let needs_head = node.needs().filter(outside).any(|v| self.is_of_head(v, sides));
            if leads_behind[index] || !needs_head {
                sides[index] = Side::Tail;
                continue;
            }
            let made_behind = |v: &ValueId| {
                let producer = self.graph.value(*v).producer();
                producer.is_some_and(|p| sides[p.index()] == Side::Tail)
            };
            if let Some(back) = node.needs().find(made_behind) {
                return Err(Illegal::FlowsBack {
                    value: self.name(back),
                    node: node.label(),
                });
            }
            sides[index] = Side::Head;
        }
        Ok(())
    }

    /// Made before the cut, or a graph input that is used there.
    pub(super) fn is_of_head(&self, value: ValueId, sides: &[Side]) -> bool {
        let value = self.graph.value(value);
        match value.producer() {
            Some(producer) => sides[producer.index()] == Side::Head,
            None => value.consumers.iter().any(|c| sides[c.index()] == Side::Head),
        }
    }
}
