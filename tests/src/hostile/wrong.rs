//! Files that are protobuf and no model: contradictions, lies about lengths, data outside the folder.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use kerf_splitter::onnx::proto::{FunctionProto, GraphProto, NodeProto};
use prost::Message as _;

use super::{Case, changed, external, external_tensor, graph, plain, weights, with_tensor};
use crate::zoo::{FLOAT, floats, node, two_relus, value};

pub(super) fn contradictory() -> Vec<Case> {
    let function = |name: &str, calls: &str| FunctionProto {
        name: Some(name.to_owned()),
        domain: Some("local".to_owned()),
        input: vec!["x".to_owned()],
        output: vec!["y".to_owned()],
        node: vec![NodeProto {
            domain: Some("local".to_owned()),
            ..node(calls, &["x"], &["y"])
        }],
        ..FunctionProto::default()
    };
    vec![
        changed("no graph", |m| m.graph = None),
        changed("no IR version", |m| m.ir_version = None),
        changed("an IR version of the future", |m| m.ir_version = Some(99)),
        changed("no operator set", |m| m.opset_import.clear()),
        changed("no output", |m| graph(m).output.clear()),
        changed("an output that nothing makes", |m| {
            graph(m).output[0] = value("z", FLOAT, &[1, 4]);
        }),
        changed("the same output twice", |m| {
            let again = graph(m).output[0].clone();
            graph(m).output.push(again);
        }),
        changed("a value made twice", |m| {
            "a".clone_into(&mut graph(m).node[1].output[0]);
        }),
        changed("a node that makes an input", |m| {
            "x".clone_into(&mut graph(m).node[0].output[0]);
        }),
        changed("an input listed twice", |m| {
            let again = graph(m).input[0].clone();
            graph(m).input.push(again);
        }),
        changed("a value that nothing makes", |m| {
            "nowhere".clone_into(&mut graph(m).node[1].input[0]);
        }),
        changed("a circle", |m| "y".clone_into(&mut graph(m).node[0].input[0])),
        changed("a node that needs itself", |m| {
            "a".clone_into(&mut graph(m).node[0].input[0]);
        }),
        changed("a node without an operator", |m| graph(m).node[0].op_type = None),
        changed("an input without a name", |m| {
            graph(m).input.push(value("", FLOAT, &[1]));
        }),
        changed("a body that needs what is not there", |m| {
            let inner = GraphProto {
                node: vec![node("Relu", &["nowhere"], &["b"])],
                output: vec![value("b", FLOAT, &[1, 4])],
                ..GraphProto::default()
            };
            graph(m).node[0].attribute.push(crate::zoo::body("then_branch", inner));
        }),
        changed("functions that call each other", |m| {
            m.functions = vec![function("A", "B"), function("B", "A")];
        }),
        changed("a function that calls itself", |m| {
            m.functions = vec![function("A", "A")];
        }),
    ]
}

pub(super) fn lying_tensors() -> Vec<Case> {
    let long = 1 << 20;
    vec![
        with_tensor("dims that overflow", |t| t.dims = vec![1 << 40, 1 << 40]),
        with_tensor("bytes that overflow", |t| t.dims = vec![1 << 62]),
        with_tensor("a negative dim", |t| t.dims = vec![-4]),
        with_tensor("raw data shorter than its shape", |t| t.dims = vec![5]),
        with_tensor("raw data longer than its shape", |t| t.dims = vec![3]),
        with_tensor("a terabyte that is not there", |t| t.dims = vec![1 << 38]),
        with_tensor("floats fewer than its shape", |t| {
            t.raw_data = None;
            t.float_data = vec![1.0; 3];
        }),
        with_tensor("many floats fewer than its shape", |t| {
            t.raw_data = None;
            t.dims = vec![long];
            t.float_data = vec![1.0; 5000];
        }),
        with_tensor("integers fewer than its shape", |t| {
            t.raw_data = None;
            t.data_type = Some(crate::zoo::INT64);
            t.int64_data = vec![1; 3];
        }),
        with_tensor("an element type that is not known", |t| t.data_type = Some(99)),
        with_tensor("no element type", |t| t.data_type = None),
        with_tensor("no name", |t| t.name = None),
        changed("the same initialiser twice", |m| {
            let w = floats("w", &[1], &[1.0]);
            graph(m).initializer = vec![w.clone(), w];
        }),
    ]
}

pub(super) fn outside() -> Vec<Case> {
    let nothing = |_: &Path| {};
    vec![
        external("external data in ..", "../canary", "0", "16", nothing),
        external("external data in a folder and ..", "sub/../../canary", "0", "16", |f| {
            std::fs::create_dir(f.join("sub")).expect("a folder");
        }),
        external("external data at an absolute path", "/dev/zero", "0", "16", nothing),
        external("external data behind a symbolic link", "link", "0", "16", |f| {
            symlink(f.join("../canary"), f.join("link")).expect("a link");
        }),
        external("external data behind a linked folder", "up/canary", "0", "16", |f| {
            symlink(f.join(".."), f.join("up")).expect("a link");
        }),
        external("external data behind a hard link", "hard", "0", "16", |f| {
            let secret = f.join("../secret");
            std::fs::write(&secret, [0_u8; 16]).expect("a file");
            std::fs::hard_link(secret, f.join("hard")).expect("a hard link");
        }),
        external("external data in a pipe", "pipe", "0", "16", |f| {
            let made = Command::new("mkfifo")
                .arg(f.join("pipe"))
                .status()
                .expect("mkfifo runs");
            assert!(made.success());
        }),
        external("external data in a folder itself", "sub", "0", "16", |f| {
            std::fs::create_dir(f.join("sub")).expect("a folder");
        }),
        external(
            "external data in memory",
            "*/_ORT_MEM_ADDR_/*",
            "140000000000000",
            "16",
            nothing,
        ),
        external("external data without a location", "", "0", "16", weights),
        external("external data that is missing", "w.bin", "0", "16", nothing),
        external("external data behind its file's end", "w.bin", "4", "16", weights),
        external("an offset that is no number", "w.bin", "-16", "16", weights),
        external(
            "an offset that overflows",
            "w.bin",
            "18446744073709551615",
            "16",
            weights,
        ),
        external("a length that lies", "w.bin", "0", "8", weights),
        external("a location with a backslash", "..\\canary", "0", "16", nothing),
        {
            let mut model = two_relus();
            let inner = GraphProto {
                initializer: vec![external_tensor("../canary", "0", "16")],
                output: vec![value("w", FLOAT, &[4])],
                ..GraphProto::default()
            };
            graph(&mut model).node[0]
                .attribute
                .push(crate::zoo::body("then_branch", inner));
            plain("external data of a body", &model.encode_to_vec())
        },
    ]
}
