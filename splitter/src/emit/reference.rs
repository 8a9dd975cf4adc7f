//! The folders and files that users of DNN ONNX Profiler have: `split_<n>_on_<value>/first_half.onnx` and so on.

use std::path::Path;

use super::{EmitError, Folder, Timing, part};
use crate::cut::{Cut, Part, Partition};
use crate::graph::{Graph, ValueId};
use crate::onnx::Model;

/// One folder a cut, both halves in each. Gives the folders' names.
///
/// # Errors
/// As [`super::bundle`].
pub fn every_split(
    model: &Model,
    graph: &Graph,
    cuts: Vec<Cut>,
    dir: &Path,
) -> Result<(Vec<String>, Timing), EmitError> {
    let mut folder = Folder::create(dir)?;
    let mut names = Vec::with_capacity(cuts.len());
    for (index, cut) in cuts.into_iter().enumerate() {
        let name = format!("split_{index}_on_{}", plain(&cut.names(graph).join("+")));
        let partition = Partition::new(graph, vec![cut])?;
        for (index, (part, half)) in partition.parts.iter().zip(["first_half", "second_half"]).enumerate() {
            part::write(model, graph, part, index, &format!("{name}/{half}.onnx"), &mut folder)?;
        }
        names.push(name);
    }
    let timing = folder.timing();
    folder.finish()?;
    Ok((names, timing))
}

/// A chain: `first_half.onnx` and `second_half.onnx` for two parts, `part1.onnx` … for more. Gives the files' names.
///
/// # Errors
/// As [`super::bundle`].
pub fn chain(model: &Model, graph: &Graph, cuts: Vec<Cut>, dir: &Path) -> Result<Vec<String>, EmitError> {
    let partition = Partition::new(graph, cuts)?;
    let count = partition.parts.len();
    let name = |index: usize| match (count, index) {
        (2, 0) => "first_half.onnx".to_owned(),
        (2, _) => "second_half.onnx".to_owned(),
        (_, index) => format!("part{}.onnx", index + 1),
    };
    let mut folder = Folder::create(dir)?;
    for (index, part) in partition.parts.iter().enumerate() {
        part::write(model, graph, part, index, &name(index), &mut folder)?;
    }
    folder.finish()?;
    Ok((0..count).map(name).collect())
}

/// Early exits: `ee_base_model.onnx` up to the first branch point, and `ee_<output>.onnx` from there to each output.
///
/// # Errors
/// As [`super::bundle`].
pub fn early_exits(
    model: &Model,
    graph: &Graph,
    exits: &[ValueId],
    cuts: &[Cut],
    dir: &Path,
) -> Result<Vec<String>, EmitError> {
    let Some(first) = cuts.first() else {
        return Err(EmitError::Options("the outputs branch off nowhere".to_owned()));
    };
    let branch: Vec<ValueId> = first
        .at()
        .iter()
        .copied()
        .filter(|v| !graph.outputs().contains(v))
        .collect();
    let mut folder = Folder::create(dir)?;
    let mut names = vec!["ee_base_model.onnx".to_owned()];
    let base = Part::between(graph, &[], &branch);
    part::write(model, graph, &base, 0, &names[0], &mut folder)?;
    for (index, exit) in exits.iter().enumerate() {
        let name = format!("ee_{}.onnx", plain(&graph.value(*exit).name));
        let part = Part::between(graph, &branch, &[*exit]);
        part::write(model, graph, &part, index + 1, &name, &mut folder)?;
        names.push(name);
    }
    folder.finish()?;
    Ok(names)
}

/// A value's name as that tool writes it into a file name.
fn plain(name: &str) -> String {
    name.replace('/', "-").replace(':', "_")
}
