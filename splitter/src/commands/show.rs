//! `kerf show`: a bundle or a whole model, as text or JSON.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kerf_runtime::bundle::Bundle;
use kerf_wire::Manifest;
use kerf_wire::manifest::{Axis, Value};

use super::{print, read_graph};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::shapes::Symbols;
use crate::graph::{Graph, ValueId};
use crate::onnx::Model;

/// Show what a bundle or a model holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kerf show bundle\n  kerf show bundle --json\n  kerf show model.onnx | less")]
pub struct Args {
    /// A bundle's folder, or an ONNX model.
    pub path: PathBuf,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// Prints it.
///
/// # Errors
/// When the bundle or the model is refused.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.path.is_dir() {
        let bundle = Bundle::open(&args.path)?;
        let text = match args.json {
            true => bundle.manifest().to_json().or_exit(Exit::Bug)?,
            false => bundle_text(bundle.manifest(), &args.path),
        };
        return print(&text);
    }
    let (model, graph) = read_graph(&args.path, &Symbols::default())?;
    if args.json {
        let text = serde_json::to_string_pretty(&model_json(&model, &graph)).or_exit(Exit::Bug)?;
        return print(&(text + "\n"));
    }
    print(&model_text(&model, &graph))
}

/// A bundle as a person reads it.
pub(crate) fn bundle_text(manifest: &Manifest, dir: &Path) -> String {
    let mut text = String::new();
    let names = |names: &[String]| {
        let spec = |name: &String| {
            format!(
                "{name} {}",
                manifest.values.get(name).map_or_else(String::new, value_text)
            )
        };
        names.iter().map(spec).collect::<Vec<_>>().join(", ")
    };
    let model = &manifest.model;
    line(
        &mut text,
        &format!("{}  {} in {} part(s)", dir.display(), model.name, manifest.parts.len()),
    );
    line(
        &mut text,
        &format!("  model  {} bytes, SHA-256 {}", model.bytes, model.sha256),
    );
    for (index, part) in manifest.parts.iter().enumerate() {
        line(&mut text, &format!("  part {index}"));
        line(&mut text, &format!("    needs {}", names(&part.inputs)));
        line(&mut text, &format!("    makes {}", names(&part.outputs)));
        for artifact in &part.artifacts {
            line(&mut text, &format!("    {}  {} bytes", artifact.file, artifact.bytes));
        }
        if part.artifacts.is_empty() {
            line(&mut text, "    passes its inputs on");
        }
        if let Some(cut) = manifest.cuts.get(index) {
            line(&mut text, &format!("  cut {}  {}", cut.id, names(&cut.values)));
        }
    }
    if !manifest.labels.is_empty() {
        line(&mut text, &format!("  labels {}", manifest.labels.len()));
    }
    if let Some(p) = &manifest.preprocess {
        line(
            &mut text,
            &format!(
                "  image  {:?} {}x{} {:?} {:?} to {:?}",
                p.colour, p.width, p.height, p.resize, p.crop, p.input
            ),
        );
    }
    for exit in &manifest.exits {
        line(
            &mut text,
            &format!("  exit {} in part {}, {:?}", exit.output, exit.part, exit.policy),
        );
    }
    for proof in &manifest.proofs {
        line(
            &mut text,
            &format!(
                "  proof  parts on {} against the whole on {}: {:.3e} relative, argmax agrees on {:.1} %",
                proof.parts,
                proof.whole,
                proof.difference_relative,
                100.0 * proof.argmax_agreement
            ),
        );
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn axes_text(axes: &[Axis]) -> String {
    let axis = |axis: &Axis| match axis {
        Axis::Fixed(n) => n.to_string(),
        Axis::Symbol(name) => name.clone(),
    };
    format!("[{}]", axes.iter().map(axis).collect::<Vec<_>>().join(", "))
}

fn value_text(value: &Value) -> String {
    format!("{} {}", value.dtype, axes_text(&value.shape))
}

fn spec(graph: &Graph, id: ValueId) -> String {
    let value = graph.value(id);
    let kind = match value.kind {
        crate::graph::Kind::Tensor(element) => element.to_string(),
        crate::graph::Kind::Other(kind) => kind.to_owned(),
        crate::graph::Kind::Unknown => "?".to_owned(),
    };
    let shape = value.shape.as_deref().map_or_else(|| "[…]".to_owned(), axes_text);
    format!("{} {kind} {shape}", value.name)
}

fn model_text(model: &Model, graph: &Graph) -> String {
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
    let one = |o: &crate::onnx::proto::OperatorSetIdProto| match o.domain() {
        "" => format!("opset {}", o.version()),
        domain => format!("{domain} {}", o.version()),
    };
    model.header.opset_import.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn attributes(model: &Model, node: usize) -> String {
    let Some(node) = model.nodes.get(node) else {
        return String::new();
    };
    let one = |a: &crate::onnx::proto::AttributeProto| {
        let value = match a.r#type() {
            crate::onnx::proto::attribute_proto::AttributeType::Float => a.f().to_string(),
            crate::onnx::proto::attribute_proto::AttributeType::Int => a.i().to_string(),
            crate::onnx::proto::attribute_proto::AttributeType::String => String::from_utf8_lossy(a.s()).into_owned(),
            crate::onnx::proto::attribute_proto::AttributeType::Ints => format!("{:?}", a.ints),
            crate::onnx::proto::attribute_proto::AttributeType::Floats => format!("{:?}", a.floats),
            crate::onnx::proto::attribute_proto::AttributeType::Graph => {
                format!("<graph of {} nodes>", a.g.as_ref().map_or(0, |g| g.node.len()))
            }
            crate::onnx::proto::attribute_proto::AttributeType::Tensor => {
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

fn model_json(model: &Model, graph: &Graph) -> serde_json::Value {
    let value = |id: &ValueId| {
        let value = graph.value(*id);
        let kind = match value.kind {
            crate::graph::Kind::Tensor(element) => Some(element.to_string()),
            crate::graph::Kind::Other(kind) => Some(kind.to_owned()),
            crate::graph::Kind::Unknown => None,
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
