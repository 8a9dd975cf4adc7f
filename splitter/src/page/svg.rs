//! The picture itself, with its own colours so that it can stand alone.

use std::fmt::Write as _;

use super::drawing::{Drawing, Edge, Shape};
use super::layout::{Layout, Place, label};

/// The style sheet of the picture; the page adds a dark one.
pub(super) const STYLE: &str = include_str!("assets/graph.css");

/// A stand-alone SVG file.
pub fn svg(drawing: &Drawing, layout: &Layout) -> String {
    let mut text = String::with_capacity(drawing.boxes.len() * 400 + 2000);
    let (width, height) = (layout.width, layout.height);
    // Writing into a String cannot fail.
    let _infallible = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"kerf\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>",
        escape(&drawing.title)
    );
    scene(&mut text, drawing, layout);
    text.push_str("</svg>\n");
    text
}

/// Edges, then boxes, then what marks the cuts.
pub(super) fn scene(text: &mut String, drawing: &Drawing, layout: &Layout) {
    text.push_str("<g class=\"scene\">\n<g class=\"edges\">\n");
    for (index, edge) in drawing.edges.iter().enumerate() {
        line(text, drawing, layout, index, edge);
    }
    text.push_str("</g>\n<g class=\"boxes\">\n");
    for (index, (shape, place)) in drawing.boxes.iter().zip(&layout.boxes).enumerate() {
        draw_box(text, index, shape, place);
        cut_mark(text, drawing, shape, place);
    }
    text.push_str("</g>\n</g>\n");
}

/// A number with one digit: files of large graphs stay small.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn line(text: &mut String, drawing: &Drawing, layout: &Layout, index: usize, edge: &Edge) {
    let (Some(from), Some(to)) = (layout.boxes.get(edge.from), layout.boxes.get(edge.to)) else {
        return;
    };
    let value = drawing.values.get(edge.value);
    let class = if value.is_some_and(|v| v.crosses) {
        "edge crosses"
    } else {
        "edge"
    };
    let mut points = vec![(from.x, from.y + from.height / 2.0)];
    points.extend(layout.bends.get(index).into_iter().flatten());
    points.push((to.x, to.y - to.height / 2.0));
    let _infallible = write!(
        text,
        "<path class=\"{class}\" data-v=\"{}\" d=\"M{} {}",
        edge.value,
        short(points[0].0),
        short(points[0].1)
    );
    for pair in points.windows(2) {
        let [(x0, y0), (x1, y1)] = pair else { continue };
        let middle = f64::midpoint(*y0, *y1);
        let _infallible = write!(
            text,
            "C{} {} {} {} {} {}",
            short(*x0),
            short(middle),
            short(*x1),
            short(middle),
            short(*x1),
            short(*y1)
        );
    }
    let name = value.map_or("", |v| v.name.as_str());
    let what = value.map_or("", |v| v.what.as_str());
    let _infallible = writeln!(text, "\"><title>{} {}</title></path>", escape(name), escape(what));
}

fn draw_box(text: &mut String, index: usize, shape: &Shape, place: &Place) {
    let (left, top) = (place.x - place.width / 2.0, place.y - place.height / 2.0);
    let kind = if shape.is_end() { "end" } else { family(&shape.op) };
    let round = if shape.is_end() { place.height / 2.0 } else { 6.0 };
    let _infallible = write!(
        text,
        "<g class=\"box {kind} part{}\" data-n=\"{index}\" transform=\"translate({} {})\"><rect width=\"{}\" height=\"{}\" rx=\"{}\"/>",
        shape.part % PART_COLOURS,
        short(left),
        short(top),
        short(place.width),
        short(place.height),
        short(round),
    );
    let middle = short(place.width / 2.0);
    let label = escape(&label(shape));
    let _infallible = if shape.is_end() {
        writeln!(text, "<text class=\"op\" x=\"{middle}\" y=\"18\">{label}</text></g>")
    } else {
        let op = escape(&shape.op);
        writeln!(
            text,
            "<text class=\"op\" x=\"{middle}\" y=\"18\">{op}</text><text class=\"name\" x=\"{middle}\" y=\"34\">{label}</text></g>"
        )
    };
}

/// Parts have this many colours; with more they repeat.
const PART_COLOURS: usize = 8;

/// A small mark below a box whose value is a legal cut, with the bytes that would cross.
fn cut_mark(text: &mut String, drawing: &Drawing, shape: &Shape, place: &Place) {
    for &made in &shape.makes {
        let Some(value) = drawing.values.get(made) else {
            continue;
        };
        let Some(cut) = &value.cut else { continue };
        let bytes = cut.bytes.map_or_else(|| "?".to_owned(), human);
        let class = if value.crosses { "cut current" } else { "cut" };
        let (x, y) = (place.x + place.width / 2.0 - 6.0, place.y + place.height / 2.0);
        let _infallible = writeln!(
            text,
            "<g class=\"{class}\" data-v=\"{made}\" transform=\"translate({} {})\"><path d=\"M0 -5L5 0L0 5L-5 0Z\"/>\
             <text x=\"9\" y=\"4\">{bytes}</text><title>legal cut at {}: {bytes} cross</title></g>",
            short(x),
            short(y),
            escape(&value.name)
        );
        return;
    }
}

/// The colour family of an operator.
fn family(op: &str) -> &'static str {
    match op {
        "Conv" | "ConvTranspose" | "ConvInteger" | "QLinearConv" | "Gemm" | "MatMul" | "MatMulInteger" | "LSTM"
        | "GRU" | "RNN" | "Attention" => "heavy",
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "Resize" | "Upsample" | "ReduceMean" => {
            "pool"
        }
        "Concat" | "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "Slice" | "Split" | "Gather"
        | "Pad" => "move",
        "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear" | "Cast" => "convert",
        "If" | "Loop" | "Scan" => "flow",
        _ => "point",
    }
}

/// Bytes for people: 1024s, one digit; halves go up, as the page's own script rounds them.
pub(super) fn human(bytes: u64) -> String {
    let short = |value: f64| short((value * 10.0).round() / 10.0);
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return format!("{} {unit}", short(value));
        }
        value /= 1024.0;
    }
    format!("{} GiB", short(value))
}

/// Text for XML: names come from strangers. Control characters, which XML does not take at all, become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_element() {
        assert_eq!(
            escape("</title><script>\u{1}\"'&"),
            "&lt;/title&gt;&lt;script&gt; &quot;&#39;&amp;"
        );
    }

    #[test]
    fn bytes_are_short() {
        assert_eq!(human(999), "999 B");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(6400), "6.3 KiB");
        assert_eq!(human(3 << 30), "3 GiB");
    }
}
