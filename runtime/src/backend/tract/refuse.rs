//! What tract cannot run, and what it runs wrongly without a word.

use std::collections::HashSet;

#[allow(
    clippy::wildcard_imports,
    reason = "tract's own prelude: its macros expand to these names"
)]
use tract_core::internal::*;
use tract_onnx::Onnx;
use tract_onnx::pb::{self, GraphProto, NodeProto};

/// Refuses a model by the node that is in the way.
///
/// # Errors
/// When an operator is not known, an output is never made, or a pattern is known to be answered wrongly.
pub(super) fn check(model: &pb::ModelProto, graph: &GraphProto, onnx: &Onnx) -> TractResult<()> {
    ensure!(
        model.functions.is_empty(),
        "it has {} model-local functions, which tract does not read",
        model.functions.len()
    );
    check_graph(graph, onnx, &HashSet::new())
}

fn check_graph(graph: &GraphProto, onnx: &Onnx, outer: &HashSet<&str>) -> TractResult<()> {
    let mut known = outer.clone();
    known.extend(graph.input.iter().map(|v| v.name.as_str()));
    known.extend(graph.initializer.iter().map(|t| t.name.as_str()));
    known.extend(graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str)));
    for node in &graph.node {
        check_node(node, onnx)?;
        let subgraphs = node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
        for subgraph in subgraphs {
            check_graph(subgraph, onnx, &known)?;
        }
    }
    // tract looks an output's name up without asking whether it is there.
    let made = |name: &str| {
        graph.input.iter().any(|v| v.name == name)
            || graph.initializer.iter().any(|t| t.name == name)
            || graph.node.iter().any(|n| uses(&n.output, name) || uses(&n.input, name))
    };
    if let Some(missing) = graph.output.iter().find(|output| !made(&output.name)) {
        bail!("output {:?} is never made", missing.name);
    }
    check_quantised_softmax(graph)
}

fn uses(names: &[String], name: &str) -> bool {
    names.iter().any(|n| n == name)
}

fn check_node(node: &NodeProto, onnx: &Onnx) -> TractResult<()> {
    let known_domain = matches!(node.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml" | "com.microsoft");
    if !known_domain || !onnx.op_register.0.contains_key(&node.op_type) {
        let domain = if node.domain.is_empty() {
            "ai.onnx"
        } else {
            &node.domain
        };
        bail!(
            "node {:?}: operator {} of domain {domain} is not among tract's",
            label(node),
            node.op_type
        );
    }
    Ok(())
}

/// A node's name, or that of its first output where it has none.
fn label(node: &NodeProto) -> &str {
    if node.name.is_empty() {
        node.output.first().map_or("", String::as_str)
    } else {
        &node.name
    }
}

/// DequantizeLinear → Softmax → QuantizeLinear: tract 0.23.9 fuses the three and gives class 0 a certain 1.0,
/// with no error. Until that is mended upstream, such a model is refused.
fn check_quantised_softmax(graph: &GraphProto) -> TractResult<()> {
    let made_by = |name: &String, op: &str| {
        graph
            .node
            .iter()
            .any(|node| node.op_type == op && node.output.contains(name))
    };
    let taken_by = |name: &String, op: &str| {
        graph
            .node
            .iter()
            .any(|node| node.op_type == op && node.input.first() == Some(name))
    };
    let wrong = |node: &&NodeProto| {
        node.op_type == "Softmax"
            && node.input.first().is_some_and(|name| made_by(name, "DequantizeLinear"))
            && node.output.first().is_some_and(|name| taken_by(name, "QuantizeLinear"))
    };
    match graph.node.iter().find(wrong) {
        Some(node) => bail!(
            "node {:?}: tract 0.23.9 answers DequantizeLinear → Softmax → QuantizeLinear wrongly; \
             use another backend, or a model whose Softmax is not quantised",
            label(node)
        ),
        None => Ok(()),
    }
}
