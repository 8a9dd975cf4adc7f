//! Files that no honest exporter writes.

mod wrong;

use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_splitter::onnx::proto::{GraphProto, ModelProto, StringStringEntryProto, TensorProto};
use prost::Message as _;
use tempfile::TempDir;

use crate::zoo::{FLOAT, floats, two_relus};

/// One hostile file, alone in a folder within a folder that holds a canary.
pub struct Case {
    /// What is wrong with it.
    pub name: String,
    /// Holds everything.
    pub folder: TempDir,
    /// The file.
    pub model: PathBuf,
}

/// Makes a case; `fill` may put more into the model's folder, beside which lies the pipe `canary`.
fn case(name: &str, bytes: &[u8], fill: impl FnOnce(&Path)) -> Case {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let canary = folder.path().join("canary");
    let made = Command::new("mkfifo").arg(&canary).status().expect("mkfifo runs");
    assert!(made.success(), "the canary is made");
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).expect("a folder");
    let model = inner.join("model.onnx");
    std::fs::write(&model, bytes).expect("the model is written");
    fill(&inner);
    Case {
        name: name.to_owned(),
        folder,
        model,
    }
}

fn plain(name: &str, bytes: &[u8]) -> Case {
    case(name, bytes, |_| {})
}

fn changed(name: &str, change: impl FnOnce(&mut ModelProto)) -> Case {
    let mut model = two_relus();
    change(&mut model);
    plain(name, &model.encode_to_vec())
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().expect("it has a graph")
}

/// A field with a length.
fn field(number: u32, contents: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(contents.len() as u64, &mut bytes);
    bytes.extend_from_slice(contents);
    bytes
}

/// A valid model with this appended to its graph.
fn with_graph_bytes(name: &str, extra: &[u8]) -> Case {
    let mut model = two_relus();
    let graph = model.graph.take().expect("it has a graph").encode_to_vec();
    let mut bytes = model.encode_to_vec();
    bytes.extend(field(7, &[&graph, extra].concat()));
    plain(name, &bytes)
}

/// A valid model with this initialiser, used by nothing.
fn with_tensor(name: &str, change: impl FnOnce(&mut TensorProto)) -> Case {
    let mut tensor = floats("w", &[4], &[1.0, 2.0, 3.0, 4.0]);
    change(&mut tensor);
    changed(name, |m| graph(m).initializer.push(tensor))
}

fn external_tensor(location: &str, offset: &str, length: &str) -> TensorProto {
    let entry = |(key, value): (&str, &str)| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    let entries = [("location", location), ("offset", offset), ("length", length)];
    TensorProto {
        name: Some("w".to_owned()),
        dims: vec![4],
        data_type: Some(FLOAT),
        external_data: entries.into_iter().filter(|(_, v)| !v.is_empty()).map(entry).collect(),
        data_location: Some(1),
        ..TensorProto::default()
    }
}

fn external(name: &str, location: &str, offset: &str, length: &str, fill: impl FnOnce(&Path)) -> Case {
    let mut model = two_relus();
    graph(&mut model)
        .initializer
        .push(external_tensor(location, offset, length));
    case(name, &model.encode_to_vec(), fill)
}

fn weights(folder: &Path) {
    std::fs::write(folder.join("w.bin"), [0_u8; 16]).expect("weights are written");
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = damaged();
    cases.extend(too_much());
    cases.extend(wrong::contradictory());
    cases.extend(wrong::lying_tensors());
    cases.extend(wrong::outside());
    cases
}

fn damaged() -> Vec<Case> {
    let valid = two_relus().encode_to_vec();
    let with = |extra: &[u8]| [&valid[..], extra].concat();
    vec![
        plain("an empty file", b""),
        plain("a text", b"this is no model\n"),
        plain("a picture", &[0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13]),
        plain("half a model", &valid[..valid.len() / 2]),
        plain("all but its last byte", &valid[..valid.len() - 1]),
        plain(
            "a varint of eleven bytes",
            &with(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ),
        plain(
            "a varint of 70 bits",
            &with(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ),
        plain("a varint that does not end", &with(&[0x08, 0xff])),
        plain("field number 0", &with(&[0x02, 0x00])),
        plain("wire type 7", &with(&[0x0f, 0x00])),
        plain("a group", &with(&[0x0b, 0x0c])),
        plain("a length beyond the file", &with(&[0x12, 0x7f])),
        plain(
            "a length of 2^63",
            &with(&[0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]),
        ),
        with_graph_bytes("a node longer than its graph", &[0x0a, 0x7f, 0x01]),
        with_graph_bytes("a name that is no UTF-8", &field(1, &[0x22, 0x02, 0xff, 0xfe])),
    ]
}

fn too_much() -> Vec<Case> {
    let nested = (0..100_000).fold(Vec::new(), |inner: Vec<u8>, depth| {
        // Copies grow with the square: the innermost thousand levels are enough to be refused, the rest is padding.
        if depth < 1000 {
            field(1, &field(5, &field(6, &inner)))
        } else {
            inner
        }
    });
    vec![
        with_graph_bytes("a million empty nodes", &field(1, b"").repeat(1_000_000)),
        with_graph_bytes("a million empty value_infos", &field(13, b"").repeat(1_000_000)),
        with_graph_bytes("a million empty initialisers", &field(5, b"").repeat(1_000_000)),
        with_graph_bytes(
            "a million empty attributes",
            &field(1, &field(5, b"").repeat(1_000_000)),
        ),
        with_graph_bytes(
            "a node with ten million empty inputs",
            &field(1, &field(1, b"").repeat(10_000_000)),
        ),
        changed("a name of 16 MiB", |m| {
            graph(m).node[0].name = Some("n".repeat(16 << 20));
        }),
        changed("an operator of 16 MiB", |m| {
            graph(m).node[0].op_type = Some("n".repeat(16 << 20));
        }),
        with_graph_bytes("a thousand bodies within each other", &nested),
        plain("100,000 bodies within each other", &deep(100_000)),
        with_graph_bytes("twenty million numbers in an attribute", &{
            let ints = field(8, &vec![1_u8; 20_000_000]);
            field(1, &[field(4, b"Relu"), field(5, &ints)].concat())
        }),
    ]
}

/// Bodies within each other, built from the inside by their lengths alone, so that making them takes no squares.
fn deep(levels: usize) -> Vec<u8> {
    let mut prefixes: Vec<Vec<u8>> = Vec::with_capacity(3 * levels);
    let mut len = 0_usize;
    for number in [6_u32, 5, 1].into_iter().cycle().take(3 * levels).chain([7]) {
        let mut prefix = Vec::new();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut prefix);
        prost::encoding::encode_varint(len as u64, &mut prefix);
        len += prefix.len();
        prefixes.push(prefix);
    }
    let mut bytes = vec![0x08, 0x08];
    prefixes.iter().rev().for_each(|prefix| bytes.extend(prefix));
    bytes
}
