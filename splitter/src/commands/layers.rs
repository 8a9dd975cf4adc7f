//! `kerf layers`: every value of a model.

use std::fmt::Write as _;
use std::path::PathBuf;

use kerf_wire::manifest::Axis;
use serde::Serialize;

use super::{parse_symbol, print, read_graph};
use crate::cut::Cutter;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::{Graph, NodeId, Value};

/// List every value of a model.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf layers model.onnx\n  kerf layers model.onnx --legal\n  \
    kerf layers model.onnx --json | jq -r '.values[] | select(.legal) | .name'\n\n\
    Bytes and MACs are counted with every symbolic dimension at 1, or at what --dim says."
)]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// Machine-readable: {"values": [{"name", "op", "shape", "bytes", "params", "macs", "legal"}]}.
    #[arg(long)]
    pub json: bool,
    /// Only values that are a legal cut alone.
    #[arg(long)]
    pub legal: bool,
    /// Count with this number for a symbolic dimension, e.g. --dim N=8.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
}

/// The JSON document; its keys are a promise.
#[derive(Debug, Serialize)]
struct Layers {
    values: Vec<Layer>,
}

/// One value.
#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    op: String,
    dtype: Option<String>,
    shape: Option<Vec<Axis>>,
    bytes: Option<u64>,
    params: u64,
    macs: Option<u64>,
    legal: bool,
}

/// Prints the list.
///
/// # Errors
/// When the model is refused.
pub fn run(args: &Args) -> Result<(), Failure> {
    let symbols = args.dims.iter().cloned().collect();
    let (_, graph) = read_graph(&args.model, &symbols)?;
    let mut layers = layers(&graph);
    if args.legal {
        layers.values.retain(|layer| layer.legal);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&layers).or_exit(Exit::Bug)?;
        return print(&(text + "\n"));
    }
    print(&table(&layers))
}

/// Params and MACs belong to the node: a node with several outputs says them at its first.
fn layers(graph: &Graph) -> Layers {
    let cutter = Cutter::new(graph);
    let layer = |id: NodeId| {
        let node = graph.node(id);
        let cutter = &cutter;
        node.makes().enumerate().map(move |(index, v)| {
            let value: &Value = graph.value(v);
            let first = index == 0;
            Layer {
                name: value.name.clone(),
                op: node.op.clone(),
                dtype: match value.kind {
                    crate::graph::Kind::Tensor(element) => Some(element.to_string()),
                    crate::graph::Kind::Other(kind) => Some(kind.to_owned()),
                    crate::graph::Kind::Unknown => None,
                },
                shape: value.shape.clone(),
                bytes: value.bytes(),
                params: if first { node.params } else { 0 },
                macs: if first { node.macs } else { Some(0) },
                legal: cutter.cut(&[v]).is_ok(),
            }
        })
    };
    Layers {
        values: graph.node_ids().flat_map(layer).collect(),
    }
}

fn shape_text(shape: Option<&[Axis]>) -> String {
    let axis = |axis: &Axis| match axis {
        Axis::Fixed(n) => n.to_string(),
        Axis::Symbol(name) => name.clone(),
    };
    shape.map_or_else(
        || "?".to_owned(),
        |axes| format!("[{}]", axes.iter().map(axis).collect::<Vec<_>>().join(", ")),
    )
}

fn table(layers: &Layers) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let row = |l: &Layer| {
        [
            if l.legal { "cut" } else { "" }.to_owned(),
            l.name.clone(),
            l.op.clone(),
            shape_text(l.shape.as_deref()),
            number(l.bytes),
            l.params.to_string(),
            number(l.macs),
        ]
    };
    let head = ["", "VALUE", "OP", "SHAPE", "BYTES", "PARAMS", "MACS"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(layers.values.iter().map(row)).collect();
    let mut widths = [0_usize; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (column, (width, cell)) in widths.iter().zip(row).enumerate() {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let gap = if column + 1 == widths.len() { "\n" } else { "  " };
            // Numbers are read from the right.
            let _infallible = if column >= 4 {
                write!(text, "{pad}{cell}{gap}")
            } else {
                write!(text, "{cell}{pad}{gap}")
            };
        }
    }
    let uncounted = layers.values.iter().filter(|l| l.macs.is_none()).count();
    let macs: u64 = layers.values.iter().filter_map(|l| l.macs).sum();
    let rest = if uncounted == 0 {
        String::new()
    } else {
        format!(" ({uncounted} not counted, see --dim)")
    };
    let _infallible = writeln!(
        text,
        "{} values, {} legal cuts, {} parameters, {macs} MACs{rest}",
        layers.values.len(),
        layers.values.iter().filter(|l| l.legal).count(),
        layers.values.iter().map(|l| l.params).sum::<u64>(),
    );
    text
}
