//! Models: whatever a file says, reading it is refused or ends, and what was read lies within the file.
//!
//! The splitter's reading alone, taken from its sources: the whole splitter brings an engine with it, which would be
//! instrumented too. Cutting and writing are `cuts`.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, reason = "what reads, of a larger whole")]
#[path = "../../../splitter/src"]
mod splitter {
    pub mod limits;
    pub mod onnx;
}
// As in the splitter: its modules name each other from the root.
pub(crate) use splitter::{limits, onnx};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = onnx::Model::from_bytes(bytes.to_vec().into(), "model", Path::new("/nonexistent")) else {
        return;
    };
    let length = bytes.len() as u64;
    assert_eq!(model.bytes(), length);
    let nodes = model.nodes.iter().map(|node| &node.span);
    let weights = model.initialisers.iter().map(|weight| &weight.span);
    for span in nodes.chain(weights) {
        assert!(span.start < span.end && span.end <= length, "{span:?} of {length}");
    }
    for weight in &model.initialisers {
        // Nothing lies beside a model that is in memory.
        assert!(!weight.external);
        if let Some(raw) = &weight.raw {
            assert!(raw.bytes.end <= length, "{:?} of {length}", raw.bytes);
            let (expected, got) = (weight.element.payload_bytes(weight.elements), raw.bytes.end - raw.bytes.start);
            assert_eq!(expected, Some(got), "{} elements", weight.elements);
        }
    }
});
