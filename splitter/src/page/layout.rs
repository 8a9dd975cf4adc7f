//! Where the boxes stand: layer by layer, inputs above, after Sugiyama (1981), with rust-sugiyama.
//!
//! Long edges get a bend in every layer that they pass, so that they run beside the boxes and not through them.

use std::collections::HashMap;

use rust_sugiyama::configure::Config;

use super::drawing::{Drawing, Shape};
use super::limits::{MAX_BENDS, MAX_LABEL_CHARS};

const BOX_HEIGHT: f64 = 44.0;
const END_HEIGHT: f64 = 28.0;
const GAP: f64 = 26.0;
// Of the widest common system fonts, at the sizes in graph.css.
const OP_CHAR_WIDTH: f64 = 8.4;
const CHAR_WIDTH: f64 = 6.9;
const BEND_WIDTH: f64 = 14.0;
const MARGIN: f64 = 40.0;

/// Positions in pixels; the origin is the upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// A place for each box of the drawing.
    pub boxes: Vec<Place>,
    /// Bends of each edge, from its source to its target.
    pub bends: Vec<Vec<(f64, f64)>>,
    /// Width of the whole.
    pub width: f64,
    /// Height of the whole.
    pub height: f64,
}

/// Where one box stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Place {
    /// Its centre.
    pub x: f64,
    /// Its centre.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// Lays a drawing out.
pub fn layout(drawing: &Drawing) -> Layout {
    let sizes: Vec<(f64, f64)> = drawing.boxes.iter().map(size).collect();
    let layers = layers(drawing);
    let mut vertices: Vec<(u32, (f64, f64))> = Vec::with_capacity(sizes.len());
    for size in &sizes {
        vertices.push((number(vertices.len()), *size));
    }
    let mut edges = Vec::new();
    let mut chains: Vec<Vec<u32>> = Vec::with_capacity(drawing.edges.len());
    // Edges of one value from one box share their bends: one line that branches off late.
    let mut shared: HashMap<(usize, usize), u32> = HashMap::new();
    let mut bends = 0_usize;
    for edge in &drawing.edges {
        let (from, to) = (layer(&layers, edge.from), layer(&layers, edge.to));
        let mut chain = Vec::new();
        let mut last = number(edge.from);
        for level in from + 1..to {
            if bends >= MAX_BENDS {
                break;
            }
            let bend = *shared.entry((edge.value, level)).or_insert_with(|| {
                bends += 1;
                vertices.push((number(vertices.len()), (BEND_WIDTH, END_HEIGHT)));
                number(vertices.len() - 1)
            });
            edges.push((last, bend));
            chain.push(bend);
            last = bend;
        }
        edges.push((last, number(edge.to)));
        chains.push(chain);
    }
    edges.sort_unstable();
    edges.dedup();
    let at = positions(&vertices, &edges);
    // Rows from our own layers: the library's rows are evenly spaced for the tallest box.
    let row = |vertex: u32| at.get(&vertex).copied().unwrap_or_default();
    let boxes: Vec<Place> = sizes
        .iter()
        .enumerate()
        .map(|(index, &(width, height))| {
            let (x, y) = row(number(index));
            Place { x, y, width, height }
        })
        .collect();
    let bends = chains
        .iter()
        .map(|chain| chain.iter().map(|&b| row(b)).collect())
        .collect();
    moved(boxes, bends)
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn layer(layers: &[usize], index: usize) -> usize {
    layers.get(index).copied().unwrap_or(0)
}

fn size(shape: &Shape) -> (f64, f64) {
    let (op, name) = (shape.op.chars().count() as f64, label(shape).chars().count() as f64);
    let height = if shape.is_end() { END_HEIGHT } else { BOX_HEIGHT };
    (((op * OP_CHAR_WIDTH).max(name * CHAR_WIDTH) + 24.0).max(96.0), height)
}

/// The second line of a box: the end of its name, which tells it from its neighbours.
pub(super) fn label(shape: &Shape) -> String {
    let chars = shape.name.chars().count();
    if chars <= MAX_LABEL_CHARS {
        return shape.name.clone();
    }
    let tail: String = shape.name.chars().skip(chars - MAX_LABEL_CHARS + 1).collect();
    format!("…{tail}")
}

/// The longest path from an input; then what reads no other box moves down to just above its first reader.
fn layers(drawing: &Drawing) -> Vec<usize> {
    let mut layers = vec![0_usize; drawing.boxes.len()];
    // Boxes are in topological order, and so are the edges by their target.
    for edge in &drawing.edges {
        let below = layer(&layers, edge.from) + 1;
        if let Some(to) = layers.get_mut(edge.to) {
            *to = (*to).max(below);
        }
    }
    let mut first_reader: HashMap<usize, usize> = HashMap::new();
    for edge in &drawing.edges {
        let reader = layer(&layers, edge.to);
        first_reader
            .entry(edge.from)
            .and_modify(|r| *r = (*r).min(reader))
            .or_insert(reader);
    }
    for (index, shape) in drawing.boxes.iter().enumerate() {
        if let (true, Some(&reader), Some(own)) =
            (shape.reads.is_empty(), first_reader.get(&index), layers.get_mut(index))
        {
            *own = reader.saturating_sub(1);
        }
    }
    layers
}

/// Coordinates by vertex; unconnected pieces stand side by side.
fn positions(vertices: &[(u32, (f64, f64))], edges: &[(u32, u32)]) -> HashMap<u32, (f64, f64)> {
    let config = Config {
        vertex_spacing: GAP,
        ..Config::default()
    };
    let mut at = HashMap::new();
    let mut left = 0.0;
    for (places, _, _) in rust_sugiyama::from_vertices_and_edges(vertices, edges, &config) {
        let piece: Vec<(u32, (f64, f64))> = places
            .into_iter()
            .filter_map(|(vertex, place)| Some((u32::try_from(vertex).ok()?, place)))
            .collect();
        let low = piece.iter().map(|(_, (x, _))| *x).fold(f64::INFINITY, f64::min);
        let high = piece.iter().map(|(_, (x, _))| *x).fold(f64::NEG_INFINITY, f64::max);
        at.extend(piece.into_iter().map(|(v, (x, y))| (v, (x - low + left, y))));
        left += high - low + 300.0;
    }
    at
}

/// Moves all so that it begins at the margin.
fn moved(mut boxes: Vec<Place>, mut bends: Vec<Vec<(f64, f64)>>) -> Layout {
    let points = || bends.iter().flatten().copied();
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let left = least(&mut boxes.iter().map(|b| b.x - b.width / 2.0).chain(points().map(|p| p.0)));
    let right = most(&mut boxes.iter().map(|b| b.x + b.width / 2.0).chain(points().map(|p| p.0)));
    let top = least(&mut boxes.iter().map(|b| b.y - b.height / 2.0));
    let bottom = most(&mut boxes.iter().map(|b| b.y + b.height / 2.0));
    let (dx, dy) = (MARGIN - left, MARGIN - top);
    for place in &mut boxes {
        place.x += dx;
        place.y += dy;
    }
    for point in bends.iter_mut().flatten() {
        *point = (point.0 + dx, point.1 + dy);
    }
    let whole = |span: f64| {
        if span.is_finite() {
            span + 2.0 * MARGIN
        } else {
            2.0 * MARGIN
        }
    };
    Layout {
        boxes,
        bends,
        width: whole(right - left),
        height: whole(bottom - top),
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{Drawn, Edge};
    use super::*;

    fn chain_with_a_skip() -> Drawing {
        let shape = |op: &str, reads: Vec<usize>, makes: Vec<usize>| Shape {
            op: op.to_owned(),
            name: op.to_owned(),
            part: 0,
            reads,
            makes,
            constants: vec![],
            params: 0,
            macs: None,
        };
        let value = |name: &str| Drawn {
            name: name.to_owned(),
            what: String::new(),
            bytes: None,
            cut: None,
            crosses: false,
        };
        Drawing {
            title: "t".to_owned(),
            parts: 1,
            boxes: vec![
                shape("input", vec![], vec![0]),
                shape("A", vec![0], vec![1]),
                shape("B", vec![1], vec![2]),
                shape("Add", vec![0, 2], vec![3]),
            ],
            values: ["x", "a", "b", "y"].map(value).to_vec(),
            edges: [(0, 1, 0), (1, 2, 1), (0, 3, 0), (2, 3, 2)]
                .map(|(from, to, value)| Edge { from, to, value })
                .to_vec(),
            nodes_total: 3,
            params_total: 0,
            macs_total: None,
        }
    }

    #[test]
    fn what_runs_later_stands_lower_and_boxes_do_not_overlap() {
        let drawing = chain_with_a_skip();
        let layout = layout(&drawing);
        for edge in &drawing.edges {
            assert!(layout.boxes[edge.from].y < layout.boxes[edge.to].y, "{edge:?}");
        }
        for (i, a) in layout.boxes.iter().enumerate() {
            for b in &layout.boxes[..i] {
                let apart_x = (a.x - b.x).abs() >= f64::midpoint(a.width, b.width);
                let apart_y = (a.y - b.y).abs() >= f64::midpoint(a.height, b.height);
                assert!(apart_x || apart_y, "{a:?} {b:?}");
            }
        }
        // The skip passes two layers, and not through the boxes there.
        let skip = &layout.bends[2];
        assert_eq!(skip.len(), 2);
        for (x, y) in skip {
            let hit = layout
                .boxes
                .iter()
                .any(|b| (b.x - x).abs() < b.width / 2.0 && (b.y - y).abs() < b.height / 2.0);
            assert!(!hit, "{skip:?}");
        }
    }

    #[test]
    fn an_empty_model_has_a_size() {
        let empty = Drawing {
            boxes: vec![],
            edges: vec![],
            values: vec![],
            ..chain_with_a_skip()
        };
        let layout = layout(&empty);
        assert!(layout.width.is_finite() && layout.height.is_finite());
    }
}
