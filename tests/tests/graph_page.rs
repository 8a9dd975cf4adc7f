//! `kerf graph` writes one page that a real browser shows, whatever the model's names are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::time::Instant;

use kerf_splitter::onnx::proto::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto, type_proto,
};
use kerf_tests::browser::{chromium, dom};
use kerf_tests::{fail, kerf, model, python, succeed};
use prost::Message as _;

fn draw(model: &Path, page: &Path, more: &[&str]) {
    succeed(kerf().arg("graph").arg(model).arg("-o").arg(page).args(more));
}

#[test]
fn a_browser_shows_every_node_of_a_large_model_and_finds_one() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let start = Instant::now();
    draw(&model("light_densenet121"), &page, &[]);
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 10.0, "laying 1,746 nodes out took {seconds:.1} s");
    let Some(browser) = chromium() else { return };
    let seen = dom(&browser, &page, "search=concat");
    // 668 nodes depend on the input; with the input and the output. The other 1,078 make constants.
    assert!(seen.contains("data-ready=\"670\""), "{}", head(&seen));
    assert!(seen.contains("1,746 nodes"), "the totals");
    assert!(seen.contains("58 found"), "the 58 Concat nodes");
    assert!(
        seen.contains("kerf split"),
        "the details of a legal cut name the command"
    );
}

#[test]
fn a_cut_is_drawn_with_its_parts_and_its_crossing_values() {
    let dir = tempfile::tempdir().unwrap();
    let (page, svg) = (dir.path().join("page.html"), dir.path().join("graph.svg"));
    let cut = [
        "--at",
        "/e1/e1.1/Relu_output_0",
        "/MaxPool_1_output_0",
        "/e2/e2.1/Relu_output_0",
    ];
    let mut more = cut.to_vec();
    more.extend(["--svg", svg.to_str().unwrap()]);
    draw(&model("tiny_unet_denoise"), &page, &more);
    let picture = std::fs::read_to_string(&svg).unwrap();
    // -o goes by the ending, as the other commands do.
    let again = dir.path().join("again.svg");
    draw(&model("tiny_unet_denoise"), &again, &cut);
    assert_eq!(std::fs::read_to_string(&again).unwrap(), picture);
    assert_eq!(
        picture.matches("class=\"edge crosses\"").count(),
        5,
        "three values reach five readers"
    );
    assert!(picture.contains("part0") && picture.contains("part1"));
    if let Some(mut python) = python() {
        let parse = "import sys, xml.etree.ElementTree as t; print(t.parse(sys.argv[1]).getroot().tag)";
        let root = succeed(python.args(["-c", parse]).arg(&svg));
        assert_eq!(root.trim(), "{http://www.w3.org/2000/svg}svg");
    }
    let Some(browser) = chromium() else { return };
    let seen = dom(&browser, &page, "search=/MaxPool_1_output_0");
    assert!(seen.contains("part 1 (tail)"), "{}", head(&seen));
    assert!(seen.contains("This value crosses the drawn cut."));
}

#[test]
fn a_bundle_is_drawn_as_the_model_that_it_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, dot) = (dir.path().join("bundle"), dir.path().join("graph.dot"));
    let at = "/r/r.0/Relu_1_output_0";
    succeed(
        kerf()
            .arg("split")
            .arg(model("resnet8_digits"))
            .args(["--at", at, "-o"])
            .arg(&bundle),
    );
    succeed(kerf().arg("graph").arg(&bundle).arg("--dot").arg(&dot));
    let text = std::fs::read_to_string(&dot).unwrap();
    assert_eq!(text.matches("subgraph cluster_").count(), 2);
    assert_eq!(
        text.matches("label=\"Conv").count(),
        10,
        "all convolutions of the whole model"
    );
    assert_eq!(text.matches("color=red").count(), 2, "one value reaches two readers");
}

#[test]
fn names_from_a_stranger_are_text_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (file, page) = (dir.path().join("hostile.onnx"), dir.path().join("page.html"));
    let name = "</script><img src=x onerror=\"document.body.dataset.owned=1\">'{{data}}\u{2028}";
    std::fs::write(&file, hostile(name).encode_to_vec()).unwrap();
    draw(&file, &page, &[]);
    let Some(browser) = chromium() else { return };
    let seen = dom(&browser, &page, "search=img");
    assert!(seen.contains("data-ready=\"4\""), "{}", head(&seen));
    assert!(seen.contains("found"), "the name is found as text");
    assert!(
        !seen.contains("<img") && !seen.contains("data-owned"),
        "the name became an element"
    );
}

#[test]
fn what_is_missing_is_said() {
    let netron = fail(
        kerf()
            .arg("graph")
            .arg(model("lenet5"))
            .arg("--netron")
            .env("PATH", "/nowhere"),
        2,
    );
    assert!(netron.contains("pip install netron"), "{netron}");
    let nothing = fail(kerf().arg("graph").arg(model("lenet5")), 2);
    assert!(nothing.contains("nothing to write"), "{nothing}");
}

fn head(page: &str) -> &str {
    page.get(..page.len().min(600)).unwrap_or_default()
}

/// Two nodes whose names want to leave the page.
fn hostile(name: &str) -> ModelProto {
    let value = |name: &str| {
        let dim = tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimValue(2)),
            ..Default::default()
        };
        let tensor = type_proto::Tensor {
            elem_type: Some(1),
            shape: Some(TensorShapeProto { dim: vec![dim] }),
        };
        let kind = TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        };
        ValueInfoProto {
            name: Some(name.to_owned()),
            r#type: Some(kind),
            ..Default::default()
        }
    };
    let relu = |from: &str, to: &str| NodeProto {
        op_type: Some("Relu".to_owned()),
        name: Some(name.to_owned()),
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(13),
            ..Default::default()
        }],
        graph: Some(GraphProto {
            name: Some(name.to_owned()),
            node: vec![relu("x", name), relu(name, "y")],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        }),
        ..Default::default()
    }
}
