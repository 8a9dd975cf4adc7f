//! What a model must say of itself, and what its functions and bodies may not do.

use std::collections::HashMap;

use super::error::{ReadError, invalid};
use super::model::Model;
use super::proto::{FunctionProto, NodeProto, TensorProto};

/// Newest IR version that this program knows; a newer one may hold fields that must not be dropped.
const NEWEST_IR: i64 = 14;

pub(super) fn check(model: &Model) -> Result<(), ReadError> {
    let ir = model.header.ir_version();
    if !(1..=NEWEST_IR).contains(&ir) {
        return invalid(format!("IR version {ir} is not known, expected 1 to {NEWEST_IR}"));
    }
    if ir >= 3 && model.header.opset_import.is_empty() {
        return invalid("it names no operator set, which IR version 3 and later must");
    }
    if let Some(named) = model
        .initialisers
        .iter()
        .find(|i| i.element.bits().is_none() && !is_string(&i.proto))
    {
        return invalid(format!(
            "initialiser {:?} is of {}, which is not known",
            named.name(),
            named.element
        ));
    }
    for node in &model.nodes {
        check_node(&node.proto)?;
    }
    for function in &model.functions {
        function.node.iter().try_for_each(check_node)?;
    }
    functions_end(&model.functions)
}

fn is_string(proto: &TensorProto) -> bool {
    super::element::ElementType::from_onnx(proto.data_type()) == super::element::ElementType::String
}

/// Tensors inside nodes have their elements with them: a path there would be followed by engines, unseen by us.
fn check_node(node: &NodeProto) -> Result<(), ReadError> {
    let inside = |tensor: &TensorProto| match tensor.data_location {
        Some(1) => Err(ReadError::External {
            tensor: tensor.name().to_owned(),
            location: tensor
                .external_data
                .iter()
                .find(|e| e.key() == "location")
                .map_or("", |e| e.value())
                .to_owned(),
            why: format!("a tensor inside node {:?} may not lie in another file", node.name()),
        }),
        _ => Ok(()),
    };
    for attribute in &node.attribute {
        attribute
            .t
            .as_deref()
            .into_iter()
            .chain(&attribute.tensors)
            .try_for_each(inside)?;
        let sparse = attribute
            .sparse_tensor
            .as_deref()
            .into_iter()
            .chain(&attribute.sparse_tensors);
        for sparse in sparse {
            sparse.values.iter().chain(&sparse.indices).try_for_each(inside)?;
        }
        for body in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
            body.initializer.iter().try_for_each(inside)?;
            body.node.iter().try_for_each(check_node)?;
        }
    }
    Ok(())
}

/// A function that comes back to itself would be unrolled for ever.
fn functions_end(functions: &[FunctionProto]) -> Result<(), ReadError> {
    let key = |f: &FunctionProto| (f.domain().to_owned(), f.name().to_owned());
    let index: HashMap<(String, String), usize> = functions.iter().enumerate().map(|(i, f)| (key(f), i)).collect();
    let mut waits = vec![0_usize; functions.len()];
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); functions.len()];
    for (caller, function) in functions.iter().enumerate() {
        each_node(&function.node, &mut |node| {
            let key = (node.domain().to_owned(), node.op_type().to_owned());
            if let Some(called) = index.get(&key) {
                waits[caller] += 1;
                callers[*called].push(caller);
            }
        });
    }
    let mut ready: Vec<usize> = (0..functions.len()).filter(|f| waits[*f] == 0).collect();
    while let Some(function) = ready.pop() {
        for caller in &callers[function] {
            waits[*caller] -= 1;
            if waits[*caller] == 0 {
                ready.push(*caller);
            }
        }
    }
    match waits.iter().position(|w| *w > 0) {
        Some(circle) => invalid(format!(
            "function {:?} calls itself, by way of others or not",
            functions[circle].name()
        )),
        None => Ok(()),
    }
}

fn each_node(nodes: &[NodeProto], visit: &mut dyn FnMut(&NodeProto)) {
    for node in nodes {
        visit(node);
        for attribute in &node.attribute {
            let bodies = attribute.g.as_deref().into_iter().chain(&attribute.graphs);
            bodies.for_each(|body| each_node(&body.node, visit));
        }
    }
}
