//! Running whole and parts on an engine.

use kerf_runtime::backend::{Artifact, LoadOptions, Verified, named};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::exit::{Exit, Failure};
use kerf_runtime::source::Input;
use kerf_runtime::step::{Choice, Step};
use kerf_runtime::tensor::Tensor;
use kerf_wire::manifest::Format;

/// An engine, and how it is asked to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The backend's name.
    pub(super) backend: &'static str,
    /// Node by node as the graph is written, nothing fused.
    pub(super) literal: bool,
}

/// What one engine gave for every input.
pub(super) struct Answers {
    pub(super) way: Way,
    /// Name and version.
    pub(super) label: String,
    /// For each input, each output of the model.
    pub(super) outputs: Vec<Vec<(String, Tensor)>>,
}

impl Way {
    /// The ways to run on this backend: as it runs, and, of a quantised model, as it is written where it can.
    pub(super) fn all(backend: &str, quantised: bool) -> Result<Vec<Self>, Failure> {
        let backend = named(backend)?;
        let usual = Self {
            backend: backend.name(),
            literal: false,
        };
        let literal = (quantised && backend.runs_literally()).then(|| Self {
            literal: true,
            ..usual.clone()
        });
        Ok(literal.into_iter().chain([usual]).collect())
    }

    fn options(&self) -> LoadOptions {
        LoadOptions {
            literal: self.literal,
            ..LoadOptions::default()
        }
    }

    /// Name and version.
    pub(super) fn label(&self) -> Result<String, Failure> {
        let about = named(self.backend)?.check(&LoadOptions::default())?;
        let name = if about.version.starts_with(self.backend) {
            about.version
        } else {
            format!("{} {}", self.backend, about.version)
        };
        Ok(if self.literal {
            format!("{name} as written")
        } else {
            name
        })
    }

    /// The whole model's answers, to inputs in several lists that are run one after the other.
    pub(super) fn whole(&self, model: &Verified<Artifact>, lists: &[&[Input]]) -> Result<Vec<Answers>, Failure> {
        let label = self.label()?;
        let mut step = Step::of_model(model, &[self.backend.to_owned()], &self.options())?;
        let mut all = Vec::with_capacity(lists.len());
        for inputs in lists {
            all.push(Answers {
                way: self.clone(),
                label: label.clone(),
                outputs: inputs.iter().map(|i| run(&mut step, i)).collect::<Result<_, _>>()?,
            });
        }
        Ok(all)
    }

    /// The formats that this backend would load parts as cut from: each is proven, for another stage may load another.
    pub(super) fn forms(&self, bundle: &Bundle) -> Vec<Format> {
        let artifacts = || bundle.manifest().parts.iter().flat_map(|part| &part.artifacts);
        let formats = named(self.backend).map_or(&[][..], |b| b.formats());
        let mut forms: Vec<Format> = formats.to_vec();
        forms.retain(|format| artifacts().any(|a| a.format == *format && a.conversion.is_none()));
        if forms.is_empty() {
            // A bundle whose parts pass everything on.
            forms.push(Format::Onnx);
        }
        forms
    }

    /// Runs the parts, each from its artifact of this format; a part that has none in it, from its best.
    pub(super) fn parts(&self, bundle: &Bundle, format: Format, inputs: &[Input]) -> Result<Answers, Failure> {
        let mut label = self.label()?;
        if format != Format::Onnx {
            label = format!("{label} from {format}");
        }
        let mut here: Vec<Vec<(String, Tensor)>> = inputs.iter().map(|i| i.tensors.clone()).collect();
        for index in 0..bundle.manifest().parts.len() {
            let doing = || format!("running part {index} on {}", self.backend);
            let has = |part: &kerf_wire::manifest::Part| part.artifacts.iter().any(|a| a.format == format);
            let how = Choice {
                format: bundle.part(index).is_ok_and(has).then_some(format),
                unproven: true,
            };
            let step = Step::load_as(bundle, index, &[self.backend.to_owned()], &self.options(), how);
            let mut step = step.map_err(|e| Failure::from(e).context(doing()))?;
            for tensors in &mut here {
                let input = Input {
                    label: String::new(),
                    tensors: std::mem::take(tensors),
                };
                *tensors = run(&mut step, &input).map_err(|e| e.context(doing()))?;
            }
        }
        Ok(Answers {
            way: self.clone(),
            label,
            outputs: here,
        })
    }
}

fn run(step: &mut Step, input: &Input) -> Result<Vec<(String, Tensor)>, Failure> {
    let leaving = step.run(input)?;
    let own = |(name, tensor): (&str, kerf_wire::TensorRef<'_>)| {
        let tensor = Tensor::copy_of(tensor).map_err(|e| Failure::new(Exit::RunFailed, e))?;
        Ok((name.to_owned(), tensor))
    };
    leaving.values.into_iter().map(own).collect()
}
