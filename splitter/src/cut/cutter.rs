//! Decides for many sets of values of one graph whether they are legal cuts.

mod sides;

use kerf_wire::limits::{MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS};

use sides::Side;

use super::{Cut, Illegal};
use crate::graph::{Graph, Kind, NodeId, ValueId};

/// Makes cuts of one graph; keeps what they have in common.
#[derive(Debug)]
pub struct Cutter<'g> {
    graph: &'g Graph,
    /// Nodes that depend on an input and lead to an output.
    useful: Vec<bool>,
}

impl<'g> Cutter<'g> {
    /// For cuts of this graph.
    pub fn new(graph: &'g Graph) -> Self {
        let mut useful = vec![false; graph.nodes().len()];
        for (index, node) in graph.nodes().iter().enumerate().rev() {
            useful[index] = !node.is_constant
                && node.makes().any(|v| {
                    let value = graph.value(v);
                    value.is_output || value.consumers.iter().any(|c| useful[c.index()])
                });
        }
        Self { graph, useful }
    }

    /// The graph.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The cut at these values.
    ///
    /// # Errors
    /// When it is not legal.
    pub fn cut(&self, at: &[ValueId]) -> Result<Cut, Illegal> {
        let mut at = at.to_vec();
        at.sort_unstable();
        at.dedup();
        self.may_be_cut(&at)?;
        let sides = self.sides(&at)?;
        self.nothing_is_missing(&at, &sides)?;
        let tail_needs = |v: ValueId| {
            self.graph
                .value(v)
                .consumers
                .iter()
                .any(|c| sides[c.index()] == Side::Tail)
        };
        if !sides.contains(&Side::Tail) {
            return Err(Illegal::NothingBehind {
                value: self.name(at[0]),
            });
        }
        if let Some(idle) = at.iter().find(|v| !tail_needs(**v) && !self.graph.value(**v).is_output) {
            return Err(Illegal::NotNeeded {
                value: self.name(*idle),
            });
        }
        if !at.iter().any(|v| tail_needs(*v)) {
            return Err(Illegal::NothingBehind {
                value: self.name(at[0]),
            });
        }
        let crossing = self.crossing(&at, &sides, tail_needs);
        self.is_carried(&crossing)?;
        Ok(Cut {
            at,
            crossing,
            head: sides.iter().map(|s| *s == Side::Head).collect(),
        })
    }

    /// Every value that is a legal cut alone, in the graph's order; graph inputs (all of the work behind) are left out.
    pub fn singles(&self) -> Vec<Cut> {
        self.graph
            .value_ids()
            .filter(|v| self.graph.value(*v).producer().is_some())
            .filter_map(|v| self.cut(&[v]).ok())
            .collect()
    }

    /// Cuts behind which each of these graph outputs is already made, so that a stage may answer there; the first is the
    /// earliest. Found from what depends on what: behind output k lies all that no output up to k needs.
    ///
    /// # Errors
    /// When the rest does not need anything that the outputs' branches make.
    pub fn exits(&self, outputs: &[ValueId]) -> Result<Vec<Cut>, Illegal> {
        let mut branches: Vec<(ValueId, Vec<bool>)> = outputs.iter().map(|o| (*o, self.needed_for(*o))).collect();
        branches.sort_by_key(|(_, nodes)| nodes.iter().filter(|n| **n).count());
        let mut before = vec![false; self.graph.nodes().len()];
        let mut at = Vec::new();
        let mut cuts = Vec::new();
        for (output, nodes) in branches {
            before.iter_mut().zip(nodes).for_each(|(all, one)| *all |= one);
            at.push(output);
            let behind = |n: &NodeId| self.useful[n.index()] && !before[n.index()];
            if !self.graph.node_ids().any(|n| behind(&n)) {
                break;
            }
            let shared = self.graph.value_ids().filter(|v| {
                let value = self.graph.value(*v);
                let made_before = match value.producer() {
                    Some(producer) => before[producer.index()],
                    None => value.consumers.iter().any(|c| before[c.index()]),
                };
                !value.is_constant && made_before && value.consumers.iter().any(behind)
            });
            cuts.push(self.cut(&at.iter().copied().chain(shared).collect::<Vec<_>>())?);
        }
        Ok(cuts)
    }

    /// The nodes that depend on an input and that this value depends on.
    fn needed_for(&self, value: ValueId) -> Vec<bool> {
        let mut needed = vec![false; self.graph.nodes().len()];
        let mut open: Vec<NodeId> = self.graph.value(value).producer().into_iter().collect();
        while let Some(id) = open.pop() {
            if !self.graph.node(id).is_constant && !std::mem::replace(&mut needed[id.index()], true) {
                open.extend(
                    self.graph
                        .node(id)
                        .needs()
                        .filter_map(|v| self.graph.value(v).producer()),
                );
            }
        }
        needed
    }

    fn name(&self, value: ValueId) -> String {
        self.graph.value(value).name.clone()
    }

    fn may_be_cut(&self, at: &[ValueId]) -> Result<(), Illegal> {
        if at.is_empty() {
            return Err(Illegal::Empty);
        }
        for id in at {
            let value = self.graph.value(*id);
            if value.is_constant {
                return Err(Illegal::Constant {
                    value: value.name.clone(),
                });
            }
            if !value.is_output && !value.consumers.iter().any(|c| self.useful[c.index()]) {
                return Err(Illegal::NothingBehind {
                    value: value.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn nothing_is_missing(&self, at: &[ValueId], sides: &[Side]) -> Result<(), Illegal> {
        let crosses = self.marked(at);
        for (index, node) in self.graph.nodes().iter().enumerate() {
            if sides[index] != Side::Tail {
                continue;
            }
            let missing = node
                .needs()
                .find(|v| !crosses[v.index()] && !self.graph.value(*v).is_constant && self.is_of_head(*v, sides));
            if let Some(missing) = missing {
                return Err(Illegal::Missing {
                    value: self.name(missing),
                    node: node.label(),
                });
            }
        }
        Ok(())
    }

    fn crossing(&self, at: &[ValueId], sides: &[Side], tail_needs: impl Fn(ValueId) -> bool) -> Vec<ValueId> {
        let passes = |v: &ValueId| {
            let value = self.graph.value(*v);
            match value.producer() {
                Some(producer) => value.is_output && sides[producer.index()] == Side::Head,
                None => !value.is_constant && (value.is_output || tail_needs(*v)),
            }
        };
        let outputs = self.graph.outputs().iter().copied().filter(passes);
        let inputs = self.graph.inputs().iter().copied().filter(passes);
        let mut crossing: Vec<ValueId> = at.iter().copied().chain(outputs).chain(inputs).collect();
        crossing.sort_unstable();
        crossing.dedup();
        crossing
    }

    fn is_carried(&self, crossing: &[ValueId]) -> Result<(), Illegal> {
        if crossing.len() > MAX_TENSORS {
            return Err(Illegal::TooMany { got: crossing.len() });
        }
        for id in crossing {
            let value = self.graph.value(*id);
            let why = match (value.kind, &value.shape) {
                (Kind::Other(kind), _) => format!("it is a {kind}, and frames carry tensors"),
                (Kind::Unknown, _) => "its element type is not known; store value_info in the model".to_owned(),
                (Kind::Tensor(element), _) if element.wire().is_none() => format!("frames carry no {element}"),
                (_, None) => "its number of dimensions is not known; store value_info in the model".to_owned(),
                (_, Some(shape)) if shape.len() > MAX_RANK => {
                    format!("it has {} dimensions, frames carry {MAX_RANK}", shape.len())
                }
                _ if value.name.len() > MAX_NAME_BYTES => {
                    format!("its name has {} bytes, frames carry {MAX_NAME_BYTES}", value.name.len())
                }
                _ => continue,
            };
            return Err(Illegal::NotCarried {
                value: value.name.clone(),
                why,
            });
        }
        Ok(())
    }
}
