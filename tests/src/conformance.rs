//! One suite for every backend: what a driver of an engine must do, whichever engine it drives.
//!
//! A case is an artifact with an input and the answer that ONNX Runtime gave for it, in Python. An engine is a backend with
//! its options. Start at [`answers`].

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kerf_runtime::backend::{self, Artifact, Backend, BackendError, LoadOptions, RunError, Session, Verified};
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::self_test::relative_difference;
use kerf_runtime::source::npz::Archive;
use kerf_runtime::tensor::Tensor;
use kerf_wire::{Dim, TensorRef};
use serde_json::json;

mod kernels;

pub use kernels::kernel_times;

/// A backend with the options that it runs under here.
pub struct Engine {
    /// Its name in `backend::all()`.
    pub backend: &'static str,
    /// Device, library, threads.
    pub options: LoadOptions,
    /// Largest max|a−b| / max|b| on float models.
    pub tolerance: f64,
    /// The same on int8 models, in which one step of a scale is a large difference.
    pub tolerance_int8: f64,
    /// Models that it refuses, each with a word of the reason.
    pub refuses: &'static [(&'static str, &'static str)],
    /// Models that the vendor's engine itself answers wrongly; a bundle's self-test refuses them.
    pub wrong: &'static [&'static str],
}

/// An artifact, what goes in and what comes out.
pub struct Case {
    /// Which model or part.
    pub label: String,
    /// What the engine loads.
    pub artifact: Verified<Artifact>,
    /// In the artifact's order.
    pub inputs: Vec<Tensor>,
    /// What ONNX Runtime gave, in the artifact's order.
    pub expected: Vec<Tensor>,
    /// Whether its weights are int8.
    pub int8: bool,
}

impl Engine {
    /// The backend itself.
    pub fn backend(&self) -> &'static dyn Backend {
        backend::named(self.backend).expect("the tests are built with every backend")
    }

    /// Loads a case that it must take.
    pub fn load(&self, case: &Case) -> Box<dyn Session> {
        let loaded = self.backend().load(case.artifact.clone(), &self.options);
        loaded.unwrap_or_else(|why| panic!("{} on {}: {why}", case.label, self.backend))
    }

    fn allowed(&self, case: &Case) -> f64 {
        if case.int8 { self.tolerance_int8 } else { self.tolerance }
    }

    fn compare(&self, case: &Case, outputs: &[Tensor]) -> f64 {
        let mut largest = 0.0_f64;
        for (index, (got, expected)) in outputs.iter().zip(&case.expected).enumerate() {
            let what = format!("{} on {}, output {index}", case.label, self.backend);
            assert_eq!(got.dtype(), expected.dtype(), "{what}");
            assert_eq!(got.shape(), expected.shape(), "{what}");
            let difference = relative_difference(got, expected);
            let allowed = self.allowed(case);
            assert!(difference <= allowed, "{what}: {difference:.2e}, allowed {allowed:.0e}");
            largest = largest.max(difference);
        }
        largest
    }
}

/// The whole models among the fixtures, with the answers that were stored with them.
pub fn wholes() -> Vec<Case> {
    let files = std::fs::read_dir(crate::fixture("models")).expect("the fixtures are there");
    let mut stems: Vec<String> = files
        .filter_map(|file| {
            let name = file.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".onnx").map(str::to_owned)
        })
        .collect();
    stems.sort();
    let case = |stem: String| {
        let known = crate::fixture(&format!("models/{stem}.npz"));
        Case {
            artifact: open_model(&crate::model(&stem)).expect("a fixture"),
            inputs: numbered(&known, "in_"),
            expected: numbered(&known, "out_"),
            int8: stem.contains("int8") || stem.contains("qdq"),
            label: stem,
        }
    };
    stems.into_iter().map(case).collect()
}

/// Heads of some fixtures, cut in the middle by `kerf` below `folder`, with what ONNX Runtime answers for each; none
/// without the judges' Python.
pub fn heads(names: &[&str], folder: &Path, backend: &dyn Backend) -> Option<Vec<Case>> {
    heads_after(names, folder, backend, &|_| {})
}

/// The same, in the backend's best format of those that a bundle has after this was done to it.
pub fn heads_after(names: &[&str], folder: &Path, backend: &dyn Backend, done: &dyn Fn(&Path)) -> Option<Vec<Case>> {
    let mut python = crate::python()?;
    let bundle = |name: &&str| {
        let place = folder.join(name);
        std::fs::create_dir(&place).expect("a folder of our own");
        crate::bundle_of(name, &place)
    };
    let bundles: Vec<PathBuf> = names.iter().map(bundle).collect();
    let jobs: Vec<_> = names
        .iter()
        .zip(&bundles)
        .map(|(name, bundle)| {
            json!({
                "model": bundle.join("part-0.onnx"),
                "inputs": crate::fixture(&format!("models/{name}.npz")),
                "output": bundle.join("head.npz"),
            })
        })
        .collect();
    let file = folder.join("jobs.json");
    std::fs::write(&file, serde_json::Value::Array(jobs).to_string()).expect("a folder of our own");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/heads.py");
    let jobs = std::fs::File::open(&file).expect("just written");
    crate::succeed(python.arg(script).stdin(Stdio::from(jobs)));
    let case = |(name, dir): (&&str, &PathBuf)| {
        done(dir);
        let bundle = Bundle::open(dir).expect("just made");
        let artifact = bundle.artifact(0, backend.formats(), None).expect("just made");
        Case {
            label: format!("head of {name}"),
            artifact: artifact.expect("a head in a format of the backend"),
            inputs: numbered(&dir.join("head.npz"), "in_"),
            expected: numbered(&dir.join("head.npz"), "out_"),
            int8: name.contains("int8"),
        }
    };
    Some(names.iter().zip(&bundles).map(case).collect())
}

/// The arrays `PREFIX0`, `PREFIX1` … of an `.npz`.
pub fn numbered(file: &Path, prefix: &str) -> Vec<Tensor> {
    let bytes = std::fs::read(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let mut archive = Archive::from_bytes(&bytes).expect("an .npz");
    (0..)
        .map_while(|index| archive.read(&format!("{prefix}{index}")).ok())
        .collect()
}

fn views(tensors: &[Tensor]) -> Vec<TensorRef<'_>> {
    tensors.iter().map(Tensor::view).collect()
}

fn run(session: &mut dyn Session, case: &Case, outputs: &mut [Tensor]) {
    let done = session.run_into(&views(&case.inputs), outputs);
    done.unwrap_or_else(|why| panic!("{}: {why}", case.label));
}

/// Every case is answered as ONNX Runtime answered, twice with the same outputs, or refused by name. Gives the largest
/// difference of each.
pub fn answers(engine: &Engine, cases: &[Case]) -> Vec<(String, f64)> {
    let mut differences = Vec::new();
    for case in cases {
        let refused = engine.refuses.iter().find(|(name, _)| *name == case.label);
        if let Some((_, word)) = refused {
            match engine.backend().load(case.artifact.clone(), &engine.options) {
                Err(error @ BackendError::Refused { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains(word) && !text.contains('\n'), "{}: {text}", case.label);
                }
                Err(other) => panic!("{}: refused for another reason: {other}", case.label),
                Ok(_) => panic!("{} is taken: strike it from the list", case.label),
            }
            continue;
        }
        let mut session = engine.load(case);
        assert_eq!(session.inputs().len(), case.inputs.len(), "{}", case.label);
        let mut outputs = vec![Tensor::default(); session.outputs().len()];
        run(session.as_mut(), case, &mut outputs);
        if engine.wrong.contains(&case.label.as_str()) {
            let difference = relative_difference(&outputs[0], &case.expected[0]);
            let still = difference > engine.allowed(case);
            assert!(still, "{} is right by now: strike it from the list", case.label);
            continue;
        }
        engine.compare(case, &outputs);
        // What lies in the outputs must not matter, and they must be written again.
        for output in &mut outputs {
            output.bytes_mut().fill(0x55);
        }
        run(session.as_mut(), case, &mut outputs);
        differences.push((case.label.clone(), engine.compare(case, &outputs)));
    }
    differences
}

/// Wrong calls are refused before the engine sees them, and do not harm the session.
pub fn wrong_calls(engine: &Engine, case: &Case) {
    let mut session = engine.load(case);
    let mut outputs = vec![Tensor::default(); session.outputs().len()];
    let none = session.run_into(&[], &mut outputs);
    assert!(matches!(none, Err(RunError::Count { what: "inputs", .. })), "{none:?}");
    let inputs = views(&case.inputs);
    let fewer = session.run_into(&inputs, &mut []);
    assert!(
        matches!(fewer, Err(RunError::Count { what: "outputs", .. })),
        "{fewer:?}"
    );
    let right = &case.inputs[0];
    let mut wrong: Vec<Tensor> = case.inputs.clone();
    wrong[0] = Tensor::zeros(kerf_wire::DType::I16, right.shape()).expect("a small tensor");
    let dtype = session.run_into(&views(&wrong), &mut outputs);
    assert!(matches!(dtype, Err(RunError::Mismatch { .. })), "{dtype:?}");
    let mut shape = right.shape().to_vec();
    *shape.last_mut().expect("an axis") += 1;
    wrong[0] = Tensor::zeros(right.dtype(), &shape).expect("a small tensor");
    let shape = session.run_into(&views(&wrong), &mut outputs);
    assert!(matches!(shape, Err(RunError::Mismatch { .. })), "{shape:?}");
    run(session.as_mut(), case, &mut outputs);
    engine.compare(case, &outputs);
}

/// Several sessions live beside one another, in one thread and in others.
pub fn several_sessions(engine: &Engine, cases: &[Case]) {
    let mut sessions: Vec<(Box<dyn Session>, &Case)> = cases.iter().map(|case| (engine.load(case), case)).collect();
    for _ in 0..2 {
        for (session, case) in &mut sessions {
            let mut outputs = vec![Tensor::default(); session.outputs().len()];
            run(session.as_mut(), case, &mut outputs);
            engine.compare(case, &outputs);
        }
    }
    std::thread::scope(|scope| {
        for (session, case) in &mut sessions {
            scope.spawn(move || {
                let mut outputs = vec![Tensor::default(); session.outputs().len()];
                run(session.as_mut(), case, &mut outputs);
                engine.compare(case, &outputs);
            });
        }
    });
}

/// A model with an open batch takes one, three and one row again; each row is answered as it is alone.
pub fn open_batch(engine: &Engine, case: &Case) {
    let mut session = engine.load(case);
    assert_eq!(session.inputs()[0].shape.first(), Some(&Dim::Dynamic), "{}", case.label);
    let one = &case.inputs[0];
    let mut shape = one.shape().to_vec();
    shape[0] = 3;
    let mut three = Tensor::zeros(one.dtype(), &shape).expect("a small tensor");
    for row in three.bytes_mut().chunks_mut(one.bytes().len()) {
        row.copy_from_slice(one.bytes());
    }
    let mut outputs = vec![Tensor::default(); session.outputs().len()];
    for input in [one, &three, one] {
        session.run_into(&[input.view()], &mut outputs).expect("a batch");
        let expected = &case.expected[0];
        assert_eq!(outputs[0].shape()[0], input.shape()[0]);
        for row in outputs[0].bytes().chunks(expected.bytes().len()) {
            let row = TensorRef::new(expected.dtype(), expected.shape(), row).expect("a row");
            let row = Tensor::copy_of(row).expect("a small tensor");
            let difference = relative_difference(&row, expected);
            assert!(difference <= engine.allowed(case), "{}: {difference:.2e}", case.label);
        }
    }
}

/// What it does not have is refused with a name, never ignored.
pub fn refused_options(engine: &Engine, case: &Case) {
    let told = |change: &dyn Fn(&mut LoadOptions)| {
        let mut options = engine.options.clone();
        change(&mut options);
        engine.backend().load(case.artifact.clone(), &options).map(drop)
    };
    let precision = told(&|options| options.precision = Some("f13".to_owned()));
    let device = told(&|options| options.device = Some("ABACUS".to_owned()));
    for (what, refused) in [("f13", precision), ("ABACUS", device)] {
        match refused {
            Err(BackendError::Option { .. } | BackendError::Missing { .. }) => {}
            other => panic!("{what} on {}: {other:?}", engine.backend),
        }
        let text = refused.map_err(|why| why.to_string()).expect_err("just seen");
        assert!(text.contains(what) && !text.contains('\n'), "{text}");
    }
    let one = told(&|options| options.threads = Some(1));
    assert!(one.is_ok(), "one thread on {}: {one:?}", engine.backend);
}

/// It says what it runs on, and where its library lies.
pub fn says_what_it_is(engine: &Engine) {
    let info = engine.backend().check(&engine.options).expect("it is there");
    assert!(info.version.chars().any(|c| c.is_ascii_digit()), "{info:?}");
    assert!(!info.device.is_empty(), "{info:?}");
    if let Some(library) = info.library {
        assert!(library.is_file(), "{}", library.display());
    }
}
