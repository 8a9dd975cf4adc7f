//! What the manifest says of a partition.

use std::collections::BTreeMap;

use kerf_wire::Digest;
use kerf_wire::manifest::{self, Artifact, Companion, FORMAT, Format, Manifest};

use super::part::PartFiles;
use super::{BundleOptions, EmitError};
use crate::cut::{Illegal, Partition};
use crate::graph::{Graph, ValueId};
use crate::onnx::Model;

/// What writes the manifests.
pub(super) const TOOL: &str = concat!("kerf ", env!("CARGO_PKG_VERSION"));

pub(super) fn of(
    model: &Model,
    digest: Digest,
    graph: &Graph,
    partition: &Partition,
    files: Vec<Option<PartFiles>>,
    options: &BundleOptions,
) -> Result<Manifest, EmitError> {
    let names = |ids: &[ValueId]| ids.iter().map(|id| graph.value(*id).name.clone()).collect::<Vec<_>>();
    let parts = partition.parts.iter().zip(files).map(|(part, files)| manifest::Part {
        inputs: names(&part.inputs),
        outputs: names(&part.outputs),
        artifacts: files.into_iter().map(artifact).collect(),
        backends: Vec::new(),
    });
    let cuts = partition.cuts.iter().enumerate().map(|(index, cut)| {
        let values = names(cut.crossing());
        let codecs = options.codecs.get(index).into_iter().flatten();
        manifest::Cut {
            id: cut.id(graph).to_string(),
            codecs: codecs
                .filter(|(name, _)| values.contains(name))
                .map(|(name, codec)| (name.clone(), codec.clone()))
                .collect(),
            values,
        }
    });
    let manifest = Manifest {
        format: FORMAT,
        tool: TOOL.to_owned(),
        release: options.release,
        model: manifest::Model {
            name: model.name.clone(),
            sha256: digest,
            bytes: model.bytes(),
            inputs: names(graph.inputs()),
            outputs: names(graph.outputs()),
        },
        parts: parts.collect(),
        cuts: cuts.collect(),
        values: values(graph, partition)?,
        preprocess: options.preprocess.clone(),
        labels: options.labels.clone(),
        self_test: None,
        exits: exits(graph, partition, options)?,
        proofs: Vec::new(),
        plan: options.plan.clone(),
    };
    // What we write must be what every stage accepts.
    Manifest::parse(manifest.to_json()?.as_bytes())?;
    Ok(manifest)
}

fn artifact(files: PartFiles) -> Artifact {
    Artifact {
        file: files.onnx.name,
        format: Format::Onnx,
        sha256: files.onnx.sha256,
        bytes: files.onnx.bytes,
        companions: files
            .weights
            .into_iter()
            .map(|w| Companion {
                file: w.name,
                sha256: w.sha256,
                bytes: w.bytes,
            })
            .collect(),
        compiled_for: None,
        conversion: None,
    }
}

/// Every value at an edge of a part, of a cut, or of the model.
fn values(graph: &Graph, partition: &Partition) -> Result<BTreeMap<String, manifest::Value>, Illegal> {
    let of_parts = partition.parts.iter().flat_map(|p| p.inputs.iter().chain(&p.outputs));
    let of_cuts = partition.cuts.iter().flat_map(|c| c.crossing());
    let of_model = graph.inputs().iter().chain(graph.outputs());
    let mut values = BTreeMap::new();
    for id in of_parts.chain(of_cuts).chain(of_model) {
        let value = graph.value(*id);
        let (Some(dtype), Some(shape)) = (value.dtype(), &value.shape) else {
            return Err(Illegal::NotCarried {
                value: value.name.clone(),
                why: "its type or its number of dimensions is not known, or frames do not carry it".to_owned(),
            });
        };
        let shape = shape.iter().map(super::names::plain_axis).collect();
        values.insert(value.name.clone(), manifest::Value { dtype, shape });
    }
    Ok(values)
}

fn exits(graph: &Graph, partition: &Partition, options: &BundleOptions) -> Result<Vec<manifest::Exit>, EmitError> {
    let exit = |(output, policy): &(String, Option<manifest::ExitPolicy>)| {
        let id = graph.find(output).filter(|id| graph.outputs().contains(id));
        let part = id.and_then(|id| partition.parts.iter().position(|p| p.outputs.contains(&id)));
        let part = part.and_then(|part| u8::try_from(part).ok());
        part.map(|part| manifest::Exit {
            output: output.clone(),
            part,
            policy: *policy,
        })
        .ok_or_else(|| EmitError::Options(format!("exit {output:?} is no output of this model")))
    };
    options.exits.iter().map(exit).collect()
}
