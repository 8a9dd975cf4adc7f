//! Models: whatever is read becomes a graph, its legal cuts are written, and each part is a model again.

#![no_main]

use std::path::Path;

use kerf_splitter::cut::Cutter;
use kerf_splitter::emit::{self, BundleOptions};
use kerf_splitter::graph::Graph;
use kerf_splitter::graph::shapes::Symbols;
use kerf_splitter::onnx::Model;
use libfuzzer_sys::fuzz_target;

/// Cuts of one model that are written.
const MAX_CUTS: usize = 3;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::from_bytes(bytes.to_vec().into(), "model", Path::new("/nonexistent")) else {
        return;
    };
    let Ok(graph) = Graph::build(&model, &Symbols::new()) else {
        return;
    };
    let cuts = Cutter::new(&graph).singles();
    let step = cuts.len().div_ceil(MAX_CUTS).max(1);
    let dir = tempfile::tempdir().expect("a temporary folder");
    for cut in cuts.into_iter().step_by(step) {
        let out = dir.path().join("bundle");
        // A legal cut may still be refused, e.g. a value of no known type; what is written must be right.
        let Ok(manifest) = emit::bundle(&model, &graph, vec![cut], &BundleOptions::default(), &out) else {
            continue;
        };
        for artifact in manifest.parts.iter().flat_map(|part| &part.artifacts) {
            let part = Model::read(&out.join(&artifact.file)).expect("a part is a model");
            Graph::build(&part, &Symbols::new()).expect("a part is a graph");
        }
    }
});
