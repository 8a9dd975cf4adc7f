//! Which operators each backend takes: the one table that `split`, `convert` and `plan` ask before anything is flashed.
//!
//! Owns: the tables, with their sources, and the answer for a part. Must not know: files, engines, costs.
//! Start at [`first_lacking`]. A table says what a backend's converter or parser knows, not every condition on attributes and
//! shapes: the backend itself has the last word, at conversion or at load.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::cut::{Cut, Cutter};
use crate::graph::{Graph, NodeId};

/// Operators of ONNX's own domain that a backend takes.
struct Table {
    backend: &'static str,
    text: &'static str,
}

/// Every backend with a table of its own. tract's is its own registry; ONNX Runtime runs all that ONNX defines.
const TABLES: &[Table] = &[
    Table {
        backend: "openvino",
        text: include_str!("support/openvino.txt"),
    },
    Table {
        backend: "openvino-myriad",
        text: include_str!("support/openvino-myriad.txt"),
    },
    Table {
        backend: "tensorrt",
        text: include_str!("support/tensorrt.txt"),
    },
    Table {
        backend: "tflite",
        text: include_str!("support/tflite.txt"),
    },
    Table {
        backend: "edgetpu",
        text: include_str!("support/edgetpu.txt"),
    },
];

impl Table {
    fn operators(&self) -> impl Iterator<Item = &'static str> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_whitespace)
    }
}

/// An operator that a backend does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backend {backend} has no {op}{}: {node}", domain(domain_name))]
pub struct Lacking {
    /// The backend.
    pub backend: String,
    /// The operator.
    pub op: String,
    /// Its domain; empty for ONNX's own.
    pub domain_name: String,
    /// The node, as a person would call it.
    pub node: String,
}

fn domain(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" of {name}")
    }
}

/// True for a backend that there is a table for.
pub fn is_known(backend: &str) -> bool {
    matches!(backend, "tract" | "onnxruntime") || TABLES.iter().any(|t| t.backend == backend)
}

/// Whether a backend takes an operator. A backend without a table takes all: it says no by itself.
pub fn takes(backend: &str, op: &str, domain: &str) -> bool {
    static TRACT: LazyLock<HashSet<String>> =
        LazyLock::new(|| tract_onnx::onnx().op_register.0.keys().cloned().collect());
    let is_own = crate::onnx::is_standard(domain);
    match backend {
        "tract" => TRACT.contains(op) && (is_own || matches!(domain, "ai.onnx.ml" | "com.microsoft")),
        "onnxruntime" => is_own || matches!(domain, "ai.onnx.ml" | "com.microsoft"),
        other => match TABLES.iter().find(|t| t.backend == other) {
            Some(table) => is_own && table.operators().any(|known| known == op),
            None => true,
        },
    }
}

/// The first of these nodes that a backend does not take. Nodes that depend on no input are computed at conversion.
pub fn first_lacking(graph: &Graph, nodes: impl IntoIterator<Item = NodeId>, backend: &str) -> Option<Lacking> {
    let lacks = |id: &NodeId| {
        let node = graph.node(*id);
        !node.is_constant && !takes(backend, &node.op, &node.domain)
    };
    let node = graph.node(nodes.into_iter().find(lacks)?);
    Some(Lacking {
        backend: backend.to_owned(),
        op: node.op.clone(),
        domain_name: node.domain.clone(),
        node: node.label(),
    })
}

/// Operators of a graph that a backend does not take, each once, in the graph's order.
pub fn lacking_operators(graph: &Graph, backend: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for node in graph.nodes() {
        if !node.is_constant && !takes(backend, &node.op, &node.domain) && !found.contains(&node.op) {
            found.push(node.op.clone());
        }
    }
    found
}

/// The legal cut at one value with the most nodes before it that a backend takes all of.
pub fn deepest_head(graph: &Graph, backend: &str) -> Option<Cut> {
    let head = |cut: &Cut| graph.node_ids().filter(|n| cut.is_head(*n)).collect::<Vec<_>>();
    let cuts = Cutter::new(graph).singles();
    let fitting = cuts
        .into_iter()
        .filter(|cut| first_lacking(graph, head(cut), backend).is_none());
    fitting.max_by_key(|cut| head(cut).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_sorted_and_has_the_operators_of_a_plain_network() {
        for table in TABLES {
            let all: Vec<&str> = table.operators().collect();
            assert!(all.is_sorted() && all.len() > 30, "{}", table.backend);
            for op in ["Conv", "Relu", "MaxPool", "Gemm", "Add", "Concat", "Flatten"] {
                assert!(takes(table.backend, op, ""), "{} {op}", table.backend);
            }
            assert!(!takes(table.backend, "Conv", "com.microsoft"));
            assert!(!takes(table.backend, "SequenceMap", ""));
            assert!(table.text.starts_with("# "), "{} names its source", table.backend);
        }
    }

    #[test]
    fn tract_has_no_loop_and_onnx_runtime_has() {
        assert!(takes("tract", "Conv", "") && !takes("tract", "Loop", ""));
        assert!(takes("onnxruntime", "Loop", "") && !takes("onnxruntime", "Conv", "my.own"));
        assert!(!takes("edgetpu", "Loop", "") && !takes("edgetpu", "HardSwish", ""));
        assert!(takes("a backend of tomorrow", "Anything", ""));
    }
}
