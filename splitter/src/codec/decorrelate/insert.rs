//! The transform as two operators of the model, one on each side of the value.
//!
//! The model computes what it did: between its two new convolutions lies a value that a cut may send in the place of the
//! old one. Nothing else has to know: splitting, verifying, tables and stages take the new model as any other.

use std::collections::HashSet;

use bytes::Bytes;

use super::Decorrelation;
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// The least operator set whose `Gemm` adds a bias without being told to.
const LEAST_OPSET: i64 = 7;
/// The first IR whose initialisers need not be inputs.
const LEAST_IR: i64 = 4;

/// What was put in.
#[derive(Debug, Clone)]
pub struct Inserted {
    /// The new model.
    pub model: ModelProto,
    /// The value to cut at: the components.
    pub components: String,
}

/// Why nothing was put in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// No node of the graph makes the value.
    #[error("no node of the model makes a value {0:?}")]
    NoProducer(String),
    /// The value leaves the model.
    #[error("value {0:?} is an output of the model: whoever reads it wants it as it is")]
    IsOutput(String),
    /// A body reads the value.
    #[error("value {value:?} is read inside the body of {node}: not supported")]
    InBody {
        /// The value.
        value: String,
        /// The node with the body.
        node: String,
    },
    /// The model is too old.
    #[error("the model has opset {0}, expected {LEAST_OPSET} or later")]
    Opset(i64),
}

/// Puts a transform and its inverse behind the node that makes `value`, of `rank` dimensions; whoever read the value reads
/// what the inverse gives.
///
/// # Errors
/// When the value is not made by a node, is an output, or is read in a body.
pub fn insert(
    mut model: ModelProto,
    value: &str,
    rank: usize,
    transform: &Decorrelation,
) -> Result<Inserted, InsertError> {
    let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
    let opset = model
        .opset_import
        .iter()
        .find(|o| standard(o.domain()))
        .map_or(0, |o| o.version());
    if opset < LEAST_OPSET {
        return Err(InsertError::Opset(opset));
    }
    model.ir_version = Some(model.ir_version().max(LEAST_IR));
    let graph = model.graph.get_or_insert_default();
    let made = graph.node.iter().position(|n| n.output.iter().any(|o| o == value));
    let made = made.ok_or_else(|| InsertError::NoProducer(value.to_owned()))?;
    if graph.output.iter().any(|o| o.name() == value) {
        return Err(InsertError::IsOutput(value.to_owned()));
    }
    if let Some(node) = graph
        .node
        .iter()
        .find(|node| bodies(node).any(|body| reads(body, value)))
    {
        return Err(InsertError::InBody {
            value: value.to_owned(),
            node: node.name().to_owned(),
        });
    }
    let taken = names(graph);
    let fresh = |base: String| {
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        std::iter::once(base.clone())
            .chain(numbered)
            .find(|name| !taken.contains(name))
    };
    let components = fresh(format!("{value}_components")).unwrap_or_default();
    let restored = fresh(format!("{value}_restored")).unwrap_or_default();
    let readers = graph.node.iter_mut().flat_map(|node| &mut node.input);
    readers
        .filter(|input| *input == value)
        .for_each(|input| input.clone_from(&restored));

    let channels = transform.means.len();
    let mean = |row: &[f32]| -row.iter().zip(&transform.means).map(|(w, m)| w * m).sum::<f32>();
    let bias: Vec<f32> = transform.forward.chunks_exact(channels.max(1)).map(mean).collect();
    let there = operator(graph, rank, value, &components, &transform.forward, &bias);
    let back = operator(
        graph,
        rank,
        &components,
        &restored,
        &transform.inverse,
        &transform.means,
    );
    graph.node.splice(made + 1..=made, [there, back]);
    Ok(Inserted { model, components })
}

/// A product with a matrix across axis 1, its weights among the graph's initialisers.
fn operator(graph: &mut GraphProto, rank: usize, from: &str, to: &str, matrix: &[f32], bias: &[f32]) -> NodeProto {
    let (weights, biases) = (format!("{to}_weight"), format!("{to}_bias"));
    let channels = bias.len();
    // A matrix has the axes [out, in]; a convolution's kernel one more a spatial axis.
    let mut dims = vec![channels, channels];
    dims.resize(rank.max(2), 1);
    graph.initializer.push(floats(&weights, &dims, matrix));
    graph.initializer.push(floats(&biases, &[channels], bias));
    let dense = rank <= 2;
    NodeProto {
        op_type: Some(if dense { "Gemm" } else { "Conv" }.to_owned()),
        name: Some(format!("{to}_node")),
        input: vec![from.to_owned(), weights, biases],
        output: vec![to.to_owned()],
        attribute: if dense { vec![transposed()] } else { Vec::new() },
        ..NodeProto::default()
    }
}

/// Gemm: B is [out, in].
fn transposed() -> AttributeProto {
    AttributeProto {
        name: Some("transB".to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(1),
        ..AttributeProto::default()
    }
}

fn floats(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(DataType::Float as i32),
        dims: dims.iter().map(|d| i64::try_from(*d).unwrap_or(i64::MAX)).collect(),
        raw_data: Some(Bytes::from(
            data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>(),
        )),
        ..TensorProto::default()
    }
}

fn bodies(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

/// True where a body or one inside it reads the name. The reader of files has bounded how deep they lie.
fn reads(body: &GraphProto, value: &str) -> bool {
    let direct = body.node.iter().any(|n| n.input.iter().any(|i| i == value));
    direct
        || body.output.iter().any(|o| o.name() == value)
        || body.node.iter().flat_map(bodies).any(|inner| reads(inner, value))
}

/// Every name of the graph and its bodies that a new value could be taken for, with those that our operators would get.
fn names(graph: &GraphProto) -> HashSet<String> {
    fn collect(graph: &GraphProto, names: &mut HashSet<String>) {
        names.extend(graph.input.iter().chain(&graph.value_info).map(|v| v.name().to_owned()));
        for name in graph.initializer.iter().map(TensorProto::name) {
            names.insert(name.to_owned());
            // A weight of this name belongs to a value that is taken too.
            names.extend(
                ["_weight", "_bias"]
                    .iter()
                    .filter_map(|end| name.strip_suffix(end))
                    .map(str::to_owned),
            );
        }
        for node in &graph.node {
            names.extend(node.output.iter().chain(&node.input).cloned());
            bodies(node).for_each(|body| collect(body, names));
        }
    }
    let mut all = HashSet::new();
    collect(graph, &mut all);
    all
}
