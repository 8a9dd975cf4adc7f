//! A whole model as text and as JSON.

use std::fmt::Write as _;

use super::{axes_text, line};
use crate::graph::{Graph, Kind, ValueId};
use crate::onnx::Model;
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, OperatorSetIdProto};

fn spec(graph: &Graph, id: ValueId) -> String {
    let value = graph.value(id);
    let kind = match value.kind {
        Kind::Tensor(element) => element.to_string(),
        Kind::Other(kind) => kind.to_owned(),
        Kind::Unknown => "?".to_owned(),
    };
    let shape = value.shape.as_deref().map_or_else(|| "[…]".to_owned(), axes_text);
    format!("{} {kind} {shape}", value.name)
}

pub(super) fn text(model: &Model, graph: &Graph) -> String {
    let mut text = String::new();
    let header = &model.header;
    let _infallible = writeln!(
        text,
        "model {:?}  IR {}, {}, by {:?} {:?}",
        model.name,
        header.ir_version(),
        opsets(model),
        header.producer_name(),
        header.producer_version(),
    );
    graph
        .inputs()
        .iter()
        .for_each(|id| line(&mut text, &format!("input  {}", spec(graph, *id))));
    graph
        .outputs()
        .iter()
        .for_each(|id| line(&mut text, &format!("output {}", spec(graph, *id))));
    for entry in &header.metadata_props {
        line(&mut text, &format!("metadata {:?} = {:?}", entry.key(), entry.value()));
    }
    for initialiser in &model.initialisers {
        let place = if initialiser.external { ", beside the model" } else { "" };
        line(
            &mut text,
            &format!(
                "constant {} {} {:?}{place}",
                initialiser.name(),
                initialiser.element,
                initialiser.proto.dims
            ),
        );
    }
    for id in graph.node_ids() {
        let node = graph.node(id);
        let made: Vec<String> = node.makes().map(|v| spec(graph, v)).collect();
        let needs: Vec<&str> = node.needs().map(|v| graph.value(v).name.as_str()).collect();
        let domain = if node.domain.is_empty() {
            String::new()
        } else {
            format!("{}::", node.domain)
        };
        line(
            &mut text,
            &format!(
                "{} = {domain}{}({}) {}",
                made.join(", "),
                node.op,
                needs.join(", "),
                attributes(model, node.index)
            ),
        );
    }
    text
}

fn opsets(model: &Model) -> String {
    let one = |o: &OperatorSetIdProto| match o.domain() {
        "" => format!("opset {}", o.version()),
        domain => format!("{domain} {}", o.version()),
    };
    model.header.opset_import.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn attributes(model: &Model, node: usize) -> String {
    let Some(node) = model.nodes.get(node) else {
        return String::new();
    };
    let one = |a: &AttributeProto| {
        let value = match a.r#type() {
            AttributeType::Float => a.f().to_string(),
            AttributeType::Int => a.i().to_string(),
            AttributeType::String => String::from_utf8_lossy(a.s()).into_owned(),
            AttributeType::Ints => format!("{:?}", a.ints),
            AttributeType::Floats => format!("{:?}", a.floats),
            AttributeType::Graph => {
                format!("<graph of {} nodes>", a.g.as_ref().map_or(0, |g| g.node.len()))
            }
            AttributeType::Tensor => {
                format!("<tensor {:?}>", a.t.as_ref().map_or(&[][..], |t| &t.dims))
            }
            other => format!("<{other:?}>"),
        };
        format!("{}={value}", a.name())
    };
    let all: Vec<String> = node.proto.attribute.iter().map(one).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", all.join(", "))
    }
}

pub(super) fn json(model: &Model, graph: &Graph) -> serde_json::Value {
    let value = |id: &ValueId| {
        let value = graph.value(*id);
        let kind = match value.kind {
            Kind::Tensor(element) => Some(element.to_string()),
            Kind::Other(kind) => Some(kind.to_owned()),
            Kind::Unknown => None,
        };
        serde_json::json!({"name": value.name, "dtype": kind, "shape": value.shape})
    };
    let names = |ids: &mut dyn Iterator<Item = ValueId>| ids.map(|v| graph.value(v).name.clone()).collect::<Vec<_>>();
    let node = |node: &crate::graph::Node| {
        serde_json::json!({
            "name": node.name, "op": node.op, "domain": node.domain,
            "inputs": names(&mut node.inputs.iter().flatten().copied()),
            "captured": names(&mut node.captured.iter().copied()),
            "outputs": node.makes().map(|v| value(&v)).collect::<Vec<_>>(),
            "params": node.params, "macs": node.macs,
        })
    };
    let initialisers = model.initialisers.iter();
    serde_json::json!({
        "name": model.name,
        "ir_version": model.header.ir_version(),
        "opsets": model.header.opset_import.iter()
            .map(|o| serde_json::json!({"domain": o.domain(), "version": o.version()})).collect::<Vec<_>>(),
        "producer": model.header.producer_name(),
        "inputs": graph.inputs().iter().map(value).collect::<Vec<_>>(),
        "outputs": graph.outputs().iter().map(value).collect::<Vec<_>>(),
        "initialisers": initialisers.map(|i| serde_json::json!({
            "name": i.name(), "dtype": i.element.to_string(), "shape": i.proto.dims, "external": i.external,
        })).collect::<Vec<_>>(),
        "nodes": graph.nodes().iter().map(node).collect::<Vec<_>>(),
    })
}
