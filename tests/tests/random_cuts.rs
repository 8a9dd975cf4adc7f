//! Promise: any graph, any cut. Random graphs × random cuts and chains, and random cuts of the fixtures; ONNX Runtime
//! judges. A failure names the seed; `KERF_SEED=N` runs that one alone.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_splitter::cut::{Cut, Cutter, Partition};
use kerf_splitter::emit::{self, BundleOptions};
use kerf_splitter::exits;
use kerf_splitter::graph::shapes::Symbols;
use kerf_splitter::graph::{Graph, NodeId, ValueId};
use kerf_splitter::onnx::Model;
use kerf_tests::judge::{Job, judge};
use kerf_tests::zoo;
use prost::Message as _;

/// A cut behind everything that a few random nodes depend on.
fn random_cut(cutter: &Cutter<'_>, random: &mut fastrand::Rng) -> Option<Cut> {
    let graph = cutter.graph();
    let mut before = vec![false; graph.nodes().len()];
    let mut open: Vec<NodeId> = (0..random.usize(1..5))
        .map(|_| NodeId(u32::try_from(random.usize(0..before.len())).unwrap()))
        .collect();
    while let Some(id) = open.pop() {
        if !graph.node(id).is_constant && !std::mem::replace(&mut before[id.index()], true) {
            open.extend(graph.node(id).needs().filter_map(|v| graph.value(v).producer()));
        }
    }
    let crosses = |v: &ValueId| {
        let value = graph.value(*v);
        let here = match value.producer() {
            Some(producer) => before[producer.index()],
            None => value.consumers.iter().any(|c| before[c.index()]),
        };
        !value.is_constant && here && (value.is_output || value.consumers.iter().any(|c| !before[c.index()]))
    };
    let at: Vec<ValueId> = graph.value_ids().filter(crosses).collect();
    cutter
        .cut(&at)
        .ok()
        .or_else(|| kerf_splitter::cut::complete(cutter, &at))
}

/// Distinct random cuts, and chains of two where they lie behind each other.
fn random_chains(graph: &Graph, random: &mut fastrand::Rng, most: usize) -> Vec<Vec<Cut>> {
    let cutter = Cutter::new(graph);
    let mut cuts: Vec<Cut> = Vec::new();
    for _ in 0..4 * most {
        if let Some(cut) = random_cut(&cutter, random).filter(|c| !cuts.contains(c))
            && cuts.len() < most
        {
            cuts.push(cut);
        }
    }
    let mut chains: Vec<Vec<Cut>> = cuts.iter().cloned().map(|c| vec![c]).collect();
    for pair in cuts.windows(2) {
        let reversed = vec![pair[1].clone(), pair[0].clone()];
        let legal = |chain: &Vec<Cut>| Partition::new(graph, chain.clone()).is_ok();
        chains.extend([pair.to_vec(), reversed].into_iter().find(legal));
    }
    chains
}

fn write_all(model: &Model, graph: &Graph, chains: Vec<Vec<Cut>>, dir: &Path) -> Vec<PathBuf> {
    let write = |(index, cuts): (usize, Vec<Cut>)| {
        let bundle = dir.join(format!("b{index}"));
        emit::bundle(model, graph, cuts, &BundleOptions::default(), &bundle).expect("a legal cut is written");
        bundle
    };
    chains.into_iter().enumerate().map(write).collect()
}

/// The bundle parted at a graph's early exits, as `kerf split --exit` does it; none where the graph has none. Each exit's
/// output must come out of the part that the bundle names, so that a stage there can answer.
fn with_exits(model: &Model, graph: &Graph, names: &[String], dir: &Path) -> Option<PathBuf> {
    let branches = exits::branches(graph, &[]).ok()?;
    let outputs = branches.iter().map(|branch| branch.output);
    // What is longer than the rest behind it is the trunk, and the rest an exit.
    let outputs: Vec<ValueId> = outputs.filter(|o| names.contains(&graph.value(*o).name)).collect();
    if outputs.is_empty() {
        return None;
    }
    // Two exits may begin where no cut parts them.
    let cuts = Cutter::new(graph).exits(&outputs).ok()?;
    let name = |output: &ValueId| (graph.value(*output).name.clone(), None);
    let options = BundleOptions {
        exits: outputs.iter().map(name).collect(),
        ..BundleOptions::default()
    };
    let bundle = dir.join("exits");
    let manifest = emit::bundle(model, graph, cuts, &options, &bundle).expect("exits are written");
    assert_eq!(manifest.exits.len(), outputs.len());
    for exit in &manifest.exits {
        let part = &manifest.parts[usize::from(exit.part)];
        assert!(part.outputs.contains(&exit.output), "{exit:?} of {:?}", part.outputs);
    }
    Some(bundle)
}

#[test]
fn random_graphs_and_random_cuts() {
    let only = std::env::var("KERF_SEED").ok().and_then(|s| s.parse::<u64>().ok());
    let seeds = only.map_or(0..60, |seed| seed..seed + 1);
    let dir = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    let (mut bundles, mut with_exit) = (0, 0);
    for seed in seeds {
        let made = zoo::random(seed);
        let folder = dir.path().join(format!("seed-{seed}"));
        std::fs::create_dir(&folder).unwrap();
        let whole = folder.join("whole.onnx");
        std::fs::write(&whole, made.model.encode_to_vec()).unwrap();
        let bytes = made.shuffled.encode_to_vec();
        let model = Model::from_bytes(bytes.into(), "random", &folder).expect("a valid model reads");
        let graph = Graph::build(&model, &Symbols::new()).expect("a valid model is a graph");
        let mut random = fastrand::Rng::with_seed(seed);
        let chains = random_chains(&graph, &mut random, 5);
        let mut written = write_all(&model, &graph, chains, &folder);
        written.extend(with_exits(&model, &graph, &made.exits, &folder).inspect(|_| with_exit += 1));
        bundles += written.len();
        jobs.push(Job {
            model: whole,
            inputs: None,
            bundles: written,
        });
    }
    assert!(
        only.is_some() || bundles > 150,
        "only {bundles} bundles of random graphs"
    );
    assert!(
        only.is_some() || with_exit > 20,
        "only {with_exit} bundles with early exits"
    );
    judge(&jobs, 1e-6);
}

fn fixture(name: &str, most: usize) {
    let file = kerf_tests::model(name);
    let model = Model::read(&file).expect("a fixture reads");
    let graph = Graph::build(&model, &Symbols::new()).expect("a fixture is a graph");
    let mut random = fastrand::Rng::with_seed(7);
    let chains = random_chains(&graph, &mut random, most);
    assert!(!chains.is_empty(), "{name} has no random cut");
    // Each bundle of a large model has all of its weights: judged and removed by the dozen.
    for chains in chains.chunks(12) {
        let dir = tempfile::tempdir().unwrap();
        let job = Job {
            model: file.clone(),
            inputs: Some(file.with_extension("npz")),
            bundles: write_all(&model, &graph, chains.to_vec(), dir.path()),
        };
        judge(&[job], 1e-4);
    }
}

const TINY: [&str; 8] = [
    "branchy_lenet",
    "branchy_lenet_if",
    "lstm_scan_digits",
    "resnet8_digits",
    "resnet8_digits_qdq_int8",
    "tiny_unet_denoise",
    "tiny_vit_digits",
    "two_digit_sum",
];

#[test]
fn random_cuts_of_small_fixtures() {
    TINY.into_iter().for_each(|name| fixture(name, 6));
}

#[test]
#[ignore = "200 cuts a model take minutes; run by cargo xtask test --all-cuts"]
fn two_hundred_random_cuts_of_every_fixture() {
    let large = [
        "efficientnet_lite0",
        "mobilenet_v2_160_dogs",
        "mobilenet_v2_160_dogs_qdq_softmax_int8",
        "mobilenet_v2_tiny_digits",
        "light_squeezenet",
        "light_resnet50",
        "light_densenet121",
        "ppocr_cls_mobile_v2",
        "lenet5",
        "lenet5_tap",
        "lstm_digits",
    ];
    TINY.into_iter().chain(large).for_each(|name| fixture(name, 200));
}
