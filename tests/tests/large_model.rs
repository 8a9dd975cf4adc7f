//! Promise: a model of more than protobuf's 2 GiB is split by copying byte ranges; its weights are never in memory.
//!
//! The weights are a file of holes with a few numbers in it, so that it takes no room on the disk. The judges: Python's own
//! count of the program's memory, and the onnx package for what the parts refer to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use kerf_splitter::onnx::proto::{GraphProto, StringStringEntryProto, TensorProto};
use kerf_tests::zoo::{FLOAT, model, node, value};
use kerf_tests::{kerf, python, succeed};
use prost::Message as _;

/// Each is a square of f32.
const WEIGHTS: u64 = 4;
/// The most that splitting may take, bytes.
const MEMORY: u64 = 200_000_000;

/// Runs a program; prints its exit code and its largest resident memory in bytes.
const MEASURE: &str = "\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)";

/// Prints the number in the middle of each weight of a part, found the way that ONNX says.
const READ: &str = "\
import os, struct, sys, onnx
from onnx.external_data_helper import ExternalDataInfo
path = sys.argv[1]
onnx.checker.check_model(path)
for t in onnx.load(path, load_external_data=False).graph.initializer:
    info = ExternalDataInfo(t)
    assert info.length == 4 * t.dims[0] * t.dims[1], (info.length, list(t.dims))
    with open(os.path.join(os.path.dirname(path), info.location), 'rb') as f:
        f.seek(info.offset + info.length // 2)
        print(t.name, struct.unpack('<f', f.read(4))[0])";

/// `x → MatMul → Relu → … → y`, with each matrix in `weights.bin`.
fn write_model(folder: &Path, side: i64) {
    let bytes = weight_bytes(side);
    let file = File::create(folder.join("weights.bin")).unwrap();
    file.set_len(WEIGHTS * bytes).unwrap();
    let mut graph = GraphProto {
        name: Some("large".to_owned()),
        input: vec![value("x", FLOAT, &[1, side])],
        output: vec![value("y", FLOAT, &[1, side])],
        ..GraphProto::default()
    };
    let mut here = "x".to_owned();
    for index in 0..WEIGHTS {
        let offset = index * bytes;
        file.write_all_at(&(index as f32 + 0.5).to_le_bytes(), offset + bytes / 2)
            .unwrap();
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        graph.initializer.push(TensorProto {
            name: Some(format!("w{index}")),
            dims: vec![side, side],
            data_type: Some(FLOAT),
            data_location: Some(1),
            external_data: vec![
                entry("location", "weights.bin".to_owned()),
                entry("offset", offset.to_string()),
                entry("length", bytes.to_string()),
            ],
            ..TensorProto::default()
        });
        let (product, next) = (format!("product{index}"), format!("relu{index}"));
        let next = if index + 1 == WEIGHTS { "y".to_owned() } else { next };
        graph
            .node
            .push(node("MatMul", &[&here, &format!("w{index}")], &[&product]));
        graph.node.push(node("Relu", &[&product], &[&next]));
        here = next;
    }
    std::fs::write(folder.join("model.onnx"), model(graph, 8, 17).encode_to_vec()).unwrap();
}

fn weight_bytes(side: i64) -> u64 {
    4 * side.unsigned_abs().pow(2)
}

#[test]
fn more_than_a_protobuf_holds_is_split_in_little_memory() {
    split_of(12_288);
}

#[test]
#[ignore = "18 s of CPU; run by cargo xtask test --all-cuts"]
fn four_gigabytes_are_split_in_200_megabytes_of_memory() {
    split_of(16_384);
}

fn split_of(side: i64) {
    let bytes = WEIGHTS * weight_bytes(side);
    assert!(bytes > 2 << 30);
    let Some(mut measure) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), side);
    let bundle = folder.path().join("bundle");
    let mut split = kerf();
    split
        .arg("split")
        .arg(folder.path().join("model.onnx"))
        .args(["--at", "relu1", "-o"])
        .arg(&bundle);
    measure
        .args(["-c", MEASURE])
        .arg(split.get_program())
        .args(split.get_args());
    let said = succeed(&mut measure);
    let (code, memory) = said.trim().split_once(' ').unwrap();
    assert_eq!(code, "0");
    let memory: u64 = memory.parse().unwrap();
    eprintln!("{bytes} bytes of weights, {memory} bytes of memory");
    assert!(memory <= MEMORY, "{memory} bytes");
    for (part, weights) in [(0, [0, 1]), (1, [2, 3])] {
        let file = bundle.join(format!("part-{part}.onnx"));
        let said = succeed(python().unwrap().args(["-c", READ]).arg(&file));
        let expected: String = weights.map(|w| format!("w{w} {w}.5\n")).concat();
        assert_eq!(said, expected, "part {part}");
        let beside = bundle.join(format!("part-{part}.weights.bin")).metadata().unwrap();
        assert!(beside.len() >= bytes / 2);
        assert!(
            beside.blocks() * 512 < 64 << 20,
            "holes were written as zeros: {} blocks",
            beside.blocks()
        );
    }
}
