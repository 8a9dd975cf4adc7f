//! What an engine says of its kernels, against the run that they are of and the model's own names.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use kerf_runtime::backend::{KernelTime, RunError};
use kerf_runtime::tensor::Tensor;
use kerf_splitter::graph::Graph;
use kerf_splitter::graph::shapes::Symbols;
use kerf_splitter::onnx::Model;

use super::{Case, Engine, run, views};

/// Rounds of a timed and a plain run: on a busy machine some of each are hardly interrupted.
const ROUNDS: usize = 24;

/// An engine that times its kernels names nodes of the model, and its kernels add up to a run; none where it times none.
/// Gives the kernels' share of a run, and the share of their time that a node's name was said for.
pub fn kernel_times(engine: &Engine, case: &Case) -> Option<(f64, f64)> {
    // Several threads on a busy machine wait for one another.
    let mut options = engine.options.clone();
    options.threads = Some(1);
    let what = format!("{} on {}", case.label, engine.backend);
    let loaded = engine.backend().load(case.artifact.clone(), &options);
    let mut session = loaded.unwrap_or_else(|why| panic!("{what}: {why}"));
    let inputs = views(&case.inputs);
    let mut outputs = vec![Tensor::default(); session.outputs().len()];
    let mut known = HashSet::new();
    // Each timed run against the plain one behind it, and the median of these: what else runs here slows both, or one of few.
    let (mut shares, mut least, mut named) = (Vec::new(), f64::INFINITY, 0.0);
    for round in 0..ROUNDS {
        let timed = match session.run_timed(&inputs) {
            Err(RunError::Unsupported(_)) => return None,
            timed => timed.unwrap_or_else(|why| panic!("{what}: {why}")),
        };
        if round == 0 {
            known = names(&case.artifact.path);
        }
        let start = Instant::now();
        run(session.as_mut(), case, &mut outputs);
        let plain = start.elapsed().as_secs_f64();
        let of_a_node = |kernel: &&KernelTime| kernel.covers.iter().any(|said| is_of_a_node(&known, said));
        let seconds = |kernel: &KernelTime| kernel.time.as_secs_f64();
        let sum: f64 = timed.iter().map(seconds).sum();
        shares.push(sum / plain);
        if sum < least {
            least = sum;
            named = timed.iter().filter(of_a_node).map(seconds).sum::<f64>() / sum;
        }
    }
    shares.sort_by(f64::total_cmp);
    let share = shares[ROUNDS / 2];
    // Tests are built without optimisation: around OpenVINO our own code takes as long again as half of its kernels. What must be
    // found is another unit, a sum over all runs, kernels that are left out.
    assert!((0.5..=1.4).contains(&share), "{what}: kernels are {share:.2} of a run");
    assert!(named >= 0.9, "{what}: {named:.2} of the time has a node's name");
    Some((share, named))
}

/// The names of a model's nodes and of what they make.
fn names(model: &Path) -> HashSet<String> {
    let model = Model::read(model).expect("a fixture");
    let graph = Graph::build(&model, &Symbols::default()).expect("a fixture");
    let of_node = |id| {
        let node = graph.node(id);
        let made = node.makes().map(|value| graph.value(value).name.clone());
        made.chain([node.name.clone()]).collect::<Vec<String>>()
    };
    graph
        .node_ids()
        .flat_map(of_node)
        .filter(|name| !name.is_empty())
        .collect()
}

/// Whether an engine's name for a kernel is a node's, up to a mark behind which the engine says what it did to it.
fn is_of_a_node(names: &HashSet<String>, said: &str) -> bool {
    let marks = said.char_indices().filter(|(_, c)| !c.is_alphanumeric() && *c != '_');
    let ends = marks.map(|(at, _)| at).chain([said.len()]);
    ends.filter_map(|end| said.get(..end)).any(|name| names.contains(name))
}
