//! Puts a model together again from parts that were cut out of it.

use std::collections::{HashMap, HashSet};

use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};

/// Why parts are not those of one model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A part has no graph, or there is no part.
    #[error("part {0} has no graph")]
    NoGraph(usize),
    /// Two parts make a value differently, or hold a constant of one name with different elements.
    #[error("part {part} has another {name:?} than a part before it: these are not parts of one model")]
    Differs {
        /// The part, from 0.
        part: usize,
        /// The value.
        name: String,
    },
    /// A part needs what no part before it makes, and the first does not take as input.
    #[error("part {part} needs {name:?}, which no part before it makes")]
    Missing {
        /// The part, from 0.
        part: usize,
        /// The value.
        name: String,
    },
    /// Parts of different operator sets.
    #[error("part {part} imports opset {got} of {domain:?}, a part before it {expected}")]
    Opset {
        /// The part, from 0.
        part: usize,
        /// The domain.
        domain: String,
        /// Of the parts before.
        expected: i64,
        /// Of this part.
        got: i64,
    },
}

/// The whole model, and for each border between two parts the values that cross it.
///
/// # Errors
/// When the parts do not fit together.
pub fn join(parts: Vec<ModelProto>) -> Result<(ModelProto, Vec<Vec<String>>), JoinError> {
    let mut whole = Joining::default();
    let count = parts.len();
    let mut borders = Vec::new();
    for (index, mut part) in parts.into_iter().enumerate() {
        let graph = part.graph.take().ok_or(JoinError::NoGraph(index))?;
        whole.opsets(index, &part.opset_import)?;
        if index > 0 {
            borders.push(whole.needed(index, &graph)?);
        }
        let last = index + 1 == count;
        whole.graph(index, graph, last)?;
        let model = whole.model.get_or_insert(part);
        model.opset_import.clone_from(&whole.imports);
    }
    let mut model = whole.model.ok_or(JoinError::NoGraph(0))?;
    model.graph = Some(whole.graph);
    Ok((model, borders))
}

#[derive(Default)]
struct Joining {
    model: Option<ModelProto>,
    imports: Vec<OperatorSetIdProto>,
    graph: GraphProto,
    makers: HashMap<String, NodeProto>,
    constants: HashMap<String, usize>,
    inputs: HashSet<String>,
}

impl Joining {
    fn opsets(&mut self, part: usize, imports: &[OperatorSetIdProto]) -> Result<(), JoinError> {
        for import in imports {
            let known = self.imports.iter().find(|known| known.domain() == import.domain());
            match known {
                Some(known) if known.version() != import.version() => {
                    return Err(JoinError::Opset {
                        part,
                        domain: import.domain().to_owned(),
                        expected: known.version(),
                        got: import.version(),
                    });
                }
                Some(_) => {}
                None => self.imports.push(import.clone()),
            }
        }
        Ok(())
    }

    /// What a part takes from those before it.
    fn needed(&self, part: usize, graph: &GraphProto) -> Result<Vec<String>, JoinError> {
        let own: HashSet<&str> = graph.initializer.iter().map(|t| t.name()).collect();
        let mut crossing = Vec::new();
        for name in graph
            .input
            .iter()
            .map(|input| input.name())
            .filter(|name| !own.contains(name))
        {
            if !self.makers.contains_key(name) && !self.inputs.contains(name) {
                return Err(JoinError::Missing {
                    part,
                    name: name.to_owned(),
                });
            }
            crossing.push(name.to_owned());
        }
        Ok(crossing)
    }

    fn graph(&mut self, part: usize, graph: GraphProto, last: bool) -> Result<(), JoinError> {
        let differs = |name: &str| JoinError::Differs {
            part,
            name: name.to_owned(),
        };
        for tensor in graph.initializer {
            match self
                .constants
                .get(tensor.name())
                .and_then(|index| self.graph.initializer.get(*index))
            {
                Some(known) if *known != tensor => return Err(differs(tensor.name())),
                Some(_) => {}
                None => {
                    self.constants
                        .insert(tensor.name().to_owned(), self.graph.initializer.len());
                    self.graph.initializer.push(tensor);
                }
            }
        }
        for node in graph.node {
            let Some(output) = node.output.iter().find(|o| !o.is_empty()).cloned() else {
                continue;
            };
            match self.makers.get(&output) {
                // Constant nodes are copied into each part that needs them.
                Some(known) if known.op_type != node.op_type || known.input != node.input => {
                    return Err(differs(&output));
                }
                Some(_) => continue,
                None => {}
            }
            for made in node.output.iter().filter(|o| !o.is_empty()) {
                self.makers.insert(made.clone(), node.clone());
            }
            self.graph.node.push(node);
        }
        if part == 0 {
            self.inputs.extend(graph.input.iter().map(|i| i.name().to_owned()));
            self.graph.input = graph.input;
            self.graph.name = graph.name;
        } else {
            let constants = &self.constants;
            let overridable = |i: &ValueInfoProto| constants.contains_key(i.name());
            let more = graph
                .input
                .into_iter()
                .filter(|i| overridable(i) && self.inputs.insert(i.name().to_owned()));
            self.graph.input.extend(more);
        }
        self.graph.value_info.extend(graph.value_info);
        if last {
            self.graph.output = graph.output;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    fn part(input: &str, op: &str, output: &str) -> ModelProto {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let node = NodeProto {
            op_type: Some(op.to_owned()),
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            ..Default::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: vec![node],
                input: vec![value(input)],
                output: vec![value(output)],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_chain_becomes_one_model_again() {
        let (whole, borders) = join(vec![
            part("x", "Relu", "a"),
            part("a", "Exp", "b"),
            part("b", "Neg", "y"),
        ])
        .unwrap();
        let graph = whole.graph.unwrap();
        assert_eq!(graph.node.len(), 3);
        assert_eq!(graph.input[0].name(), "x");
        assert_eq!(graph.output[0].name(), "y");
        assert_eq!(borders, [["a"], ["b"]]);
    }

    #[test]
    fn parts_of_other_models_are_refused() {
        let missing = join(vec![part("x", "Relu", "a"), part("z", "Exp", "b")]);
        assert!(matches!(missing, Err(JoinError::Missing { part: 1, .. })));
        let differs = join(vec![part("x", "Relu", "a"), part("a", "Exp", "a")]);
        assert!(matches!(differs, Err(JoinError::Differs { part: 1, .. })));
    }
}
