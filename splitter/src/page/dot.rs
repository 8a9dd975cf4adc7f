//! The graph for Graphviz.

use std::fmt::Write as _;

use super::drawing::Drawing;
use super::svg::human;

/// A DOT file: `dot -Tpdf` and its friends draw it. Each part is a cluster.
pub fn dot(drawing: &Drawing) -> String {
    let mut text = format!(
        "digraph {} {{\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
        quoted(&drawing.title)
    );
    for part in 0..drawing.parts {
        let clustered = drawing.parts > 1;
        if clustered {
            let _infallible = writeln!(text, "  subgraph cluster_{part} {{\n    label=\"part {part}\";");
        }
        for (index, shape) in drawing.boxes.iter().enumerate().filter(|(_, s)| s.part == part) {
            let label = if shape.is_end() {
                shape.name.clone()
            } else {
                format!("{}\n{}", shape.op, shape.name)
            };
            let _infallible = writeln!(text, "    n{index} [label={}];", quoted(&label));
        }
        if clustered {
            text.push_str("  }\n");
        }
    }
    for edge in &drawing.edges {
        let Some(value) = drawing.values.get(edge.value) else {
            continue;
        };
        let bytes = value.bytes.map_or_else(|| "?".to_owned(), human);
        let colour = if value.crosses { ", color=red, penwidth=2" } else { "" };
        let tip = quoted(&format!("{} {} ({bytes})", value.name, value.what));
        let _infallible = writeln!(text, "  n{} -> n{} [tooltip={tip}{colour}];", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", escaped.replace(|c: char| c.is_control(), " "))
}
