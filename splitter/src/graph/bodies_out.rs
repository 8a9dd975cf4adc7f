//! What If, Loop and Scan give, from what their bodies declare.

use kerf_wire::manifest::Axis;

use super::Kind;
use super::shapes::of_type;
use crate::onnx::proto::{GraphProto, NodeProto};

/// What output `position` of a control-flow node is, as far as its body says.
pub(super) fn declared(node: &NodeProto, position: usize) -> Option<(Kind, Option<Vec<Axis>>)> {
    let body = |name: &str| node.attribute.iter().find(|a| a.name() == name)?.g.as_deref();
    match node.op_type() {
        "If" => {
            let (a, b) = (
                of_output(body("then_branch")?, position)?,
                of_output(body("else_branch")?, position)?,
            );
            Some((a.0, a.1.filter(|shape| Some(shape) == b.1.as_ref())))
        }
        "Loop" => {
            // Inputs: trip count, condition, then what is carried; body outputs: condition, carried, scanned.
            let carried = node.input.len().saturating_sub(2);
            let (kind, shape) = of_output(body("body")?, position + 1)?;
            Some((kind, if position < carried { shape } else { stacked(shape) }))
        }
        "Scan" => {
            let scanned = node.attribute.iter().find(|a| a.name() == "num_scan_inputs")?.i();
            let carried = node.input.len().saturating_sub(usize::try_from(scanned).ok()?);
            let (kind, shape) = of_output(body("body")?, position)?;
            let plain_axes = !node.attribute.iter().any(|a| a.name() == "scan_output_axes");
            Some((
                kind,
                if position < carried {
                    shape
                } else {
                    stacked(shape).filter(|_| plain_axes)
                },
            ))
        }
        _ => None,
    }
}

fn of_output(body: &GraphProto, position: usize) -> Option<(Kind, Option<Vec<Axis>>)> {
    of_type(body.output.get(position)?.r#type.as_ref()?)
}

/// One more dimension in front, as long as the loop runs.
fn stacked(shape: Option<Vec<Axis>>) -> Option<Vec<Axis>> {
    let shape = shape?;
    Some(std::iter::once(Axis::Symbol("?".to_owned())).chain(shape).collect())
}
