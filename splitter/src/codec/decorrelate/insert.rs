//! The transform as two operators of the model, one on each side of the value.
//!
//! The model computes what it did: between its two new convolutions lies a value that a cut may send in the place of the
//! old one. Nothing else has to know: splitting, verifying, tables and stages take the new model as any other.

use super::Decorrelation;
use crate::onnx::opset;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use crate::onnx::write::{Names, bodies, from_floats, integer_attribute, node};

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
    let opset = opset(&model.opset_import);
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
    let mut names = Names::of(graph);
    let components = names.fresh(&format!("{value}_components"));
    let restored = names.fresh(&format!("{value}_restored"));
    let readers = graph.node.iter_mut().flat_map(|node| &mut node.input);
    readers
        .filter(|input| *input == value)
        .for_each(|input| input.clone_from(&restored));

    let channels = transform.means.len();
    let mean = |row: &[f32]| -row.iter().zip(&transform.means).map(|(w, m)| w * m).sum::<f32>();
    let bias: Vec<f32> = transform.forward.chunks_exact(channels.max(1)).map(mean).collect();
    let mut operator = Operator { graph, names, rank };
    let there = operator.product(value, &components, &transform.forward, &bias);
    let back = operator.product(&components, &restored, &transform.inverse, &transform.means);
    graph.node.splice(made + 1..=made, [there, back]);
    Ok(Inserted { model, components })
}

/// What a new operator needs of the graph.
struct Operator<'a> {
    graph: &'a mut GraphProto,
    names: Names,
    rank: usize,
}

impl Operator<'_> {
    /// A product with a matrix across axis 1, its weights among the graph's initialisers.
    fn product(&mut self, from: &str, to: &str, matrix: &[f32], bias: &[f32]) -> NodeProto {
        let weights = self.names.fresh(&format!("{to}_weight"));
        let biases = self.names.fresh(&format!("{to}_bias"));
        let channels = bias.len();
        // A matrix has the axes [out, in]; a convolution's kernel one more a spatial axis.
        let mut dims = vec![channels, channels];
        dims.resize(self.rank.max(2), 1);
        self.graph.initializer.push(from_floats(&weights, &dims, matrix));
        self.graph.initializer.push(from_floats(&biases, &[channels], bias));
        let inputs = [from, &weights, &biases];
        if self.rank > 2 {
            return node("Conv", &inputs, &[to]);
        }
        let mut product = node("Gemm", &inputs, &[to]);
        product.attribute.push(integer_attribute("transB", 1));
        product
    }
}

/// True where a body or one inside it reads the name. The reader of files has bounded how deep they lie.
fn reads(body: &GraphProto, value: &str) -> bool {
    let direct = body.node.iter().any(|n| n.input.iter().any(|i| i == value));
    direct
        || body.output.iter().any(|o| o.name() == value)
        || body.node.iter().flat_map(bodies).any(|inner| reads(inner, value))
}
