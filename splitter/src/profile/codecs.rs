//! What each codec costs on each value that could cross a cut, framing included: one run shows them all.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::open_model;
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::{Codec, Coder};
use kerf_wire::profile::{CodecCost, Sample, ValueCost};
use kerf_wire::{CodecId, CutId, DType, DeviceId, Digest, Frame, FrameBuilder, FrameId, TensorRef, WireError};

use super::taps::tapped;
use crate::codec::distance;
use crate::graph::{Graph, ValueId};
use crate::onnx::read_whole;

/// Bytes of values that one run keeps.
const GROUP_BYTES: u64 = 256 * 1024 * 1024;
/// Times that each value is encoded and decoded with each codec.
const PASSES: usize = 3;

/// What is measured, and on what.
pub struct CodecJob<'a> {
    /// The model's file.
    pub model: &'a Path,
    /// Its graph.
    pub graph: &'a Graph,
    /// The engine.
    pub backend: &'a str,
    /// The codecs; those that need a table are not for this.
    pub codecs: &'a [CodecId],
    /// At least one.
    pub inputs: &'a [Input],
    /// No value is begun after this.
    pub most: Duration,
}

/// Each codec's cost by name, values with few bytes first: where time ends, the rest goes by the mean.
///
/// # Errors
/// When the model does not run, or a codec refuses a tensor.
pub fn measure_codecs(job: &CodecJob<'_>) -> anyhow::Result<BTreeMap<String, CodecCost>> {
    let whole = read_whole(job.model)?;
    let folder = tempfile::tempdir()?;
    let mut bench = Bench::new(job)?;
    for group in groups(job.graph) {
        if bench.is_over() {
            break;
        }
        let file = folder.path().join("tapped.onnx");
        std::fs::write(&file, tapped(&whole, job.graph, &group))?;
        let artifact = open_model(&file)?;
        let mut step = Step::of_model(&artifact, &[job.backend.to_owned()], &LoadOptions::default())?;
        bench.run(&mut step, &group)?;
    }
    Ok(bench.finish())
}

/// Values that could cross, in groups that fit into memory together.
fn groups(graph: &Graph) -> Vec<Vec<ValueId>> {
    let mut values: Vec<(u64, ValueId)> = graph
        .value_ids()
        .filter(|id| !graph.value(*id).is_constant)
        .filter_map(|id| Some((graph.value(id).bytes()?, id)))
        .filter(|(bytes, _)| (1..=GROUP_BYTES).contains(bytes))
        .collect();
    values.sort();
    let mut groups: Vec<Vec<ValueId>> = Vec::new();
    let mut room = 0;
    for (bytes, id) in values {
        if let Some(group) = groups.last_mut().filter(|_| bytes <= room) {
            group.push(id);
        } else {
            groups.push(vec![id]);
            room = GROUP_BYTES;
        }
        room -= bytes;
    }
    groups
}

struct Bench<'a> {
    job: &'a CodecJob<'a>,
    begun: Instant,
    id: FrameId,
    coder: Coder,
    builder: FrameBuilder,
    costs: BTreeMap<String, CodecCost>,
    /// By codec: raw bytes, encoded bytes, encode ms, decode ms.
    sums: BTreeMap<String, [f64; 4]>,
}

impl<'a> Bench<'a> {
    fn new(job: &'a CodecJob<'a>) -> Result<Self, WireError> {
        Ok(Self {
            job,
            begun: Instant::now(),
            id: FrameId {
                device: DeviceId::new("profile")?,
                boot: 0,
                sequence: 0,
            },
            coder: Coder::new(),
            builder: FrameBuilder::new(),
            costs: BTreeMap::new(),
            sums: BTreeMap::new(),
        })
    }

    fn is_over(&self) -> bool {
        self.begun.elapsed() > self.job.most
    }

    fn run(&mut self, step: &mut Step, group: &[ValueId]) -> anyhow::Result<()> {
        let mut seen: Vec<Vec<Tensor>> = vec![Vec::new(); group.len()];
        for input in self.job.inputs {
            let leaving = step.run(input)?;
            for (tensors, id) in seen.iter_mut().zip(group) {
                let name = self.job.graph.value(*id).name.as_str();
                let given = input.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t.view());
                let made = leaving.values.iter().find(|(n, _)| *n == name).map(|(_, t)| *t);
                if let Some(tensor) = made.or(given) {
                    tensors.push(Tensor::copy_of(tensor)?);
                }
            }
        }
        for (tensors, id) in seen.iter().zip(group) {
            if self.is_over() {
                break;
            }
            let name = &self.job.graph.value(*id).name;
            for codec in self.job.codecs {
                let codec = Codec::plain(*codec);
                if let Some(first) = tensors.first().filter(|t| codec.takes(t.dtype())) {
                    let raw = first.bytes().len() as f64;
                    let cost = self.value(&codec, tensors)?;
                    self.enter(&codec, name, raw, cost);
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, codec: &Codec, tensors: &[Tensor]) -> Result<ValueCost, WireError> {
        let (mut encode, mut decode) = (Vec::new(), Vec::new());
        let (mut bytes, mut error, mut power) = (0.0, 0.0, 0.0);
        let passes = tensors.iter().cycle().take(PASSES.max(tensors.len()));
        for (pass, tensor) in passes.enumerate() {
            let once = self.once(codec, &tensor.view())?;
            encode.push(once.encode.as_secs_f64() * 1e3);
            decode.push(once.decode.as_secs_f64() * 1e3);
            if pass < tensors.len() {
                bytes += once.payload as f64 / tensors.len() as f64;
                // What is not of floats travels exactly.
                let (e, p) = match tensor.dtype() {
                    DType::F32 => distance(tensor, &once.back),
                    _ => (0.0, 1.0),
                };
                error += e;
                power += p;
            }
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
        let bytes = bytes.ceil() as u64;
        Ok(ValueCost {
            bytes,
            encode_ms: Sample::of(&encode).median,
            decode_ms: Sample::of(&decode).median,
            relative_error: if power > 0.0 { (error / power).sqrt() } else { 0.0 },
            loss: None,
            table: None,
        })
    }

    /// One tensor's way into a frame and out of it, as the stages go it.
    fn once(&mut self, codec: &Codec, tensor: &TensorRef<'_>) -> Result<Once, WireError> {
        let start = Instant::now();
        self.builder.clear();
        let coder = &mut self.coder;
        self.builder.push_with(|out| coder.encode(codec, tensor, out))?;
        let frame = self
            .builder
            .seal(self.id.clone(), Digest([0; 32]), CutId([0; 16]), &[])?;
        let frame = bytes::Bytes::copy_from_slice(frame);
        let encode = start.elapsed();
        let start = Instant::now();
        let parsed = Frame::parse(&frame)?;
        let (header, payload) = parsed.tensors().next().ok_or(WireError::OverLimit("tensors"))?;
        let back = if let Some(view) = header.view(payload)? {
            Tensor::copy_of(view)?
        } else {
            let mut back = Tensor::zeros(header.dtype, &header.shape)?;
            self.coder.decode(codec, header, payload, back.bytes_mut())?;
            back
        };
        Ok(Once {
            encode,
            decode: start.elapsed(),
            payload: payload.len(),
            back,
        })
    }

    fn enter(&mut self, codec: &Codec, name: &str, raw: f64, cost: ValueCost) {
        let codec = codec.id.to_string();
        let sums = self.sums.entry(codec.clone()).or_default();
        let more = [raw, cost.bytes as f64, cost.encode_ms, cost.decode_ms];
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        let entry = self.costs.entry(codec).or_default();
        entry.relative_error = entry.relative_error.max(cost.relative_error);
        entry.values.insert(name.to_owned(), cost);
    }

    fn finish(mut self) -> BTreeMap<String, CodecCost> {
        for (name, cost) in &mut self.costs {
            let [raw, encoded, encode_ms, decode_ms] = self.sums.get(name).copied().unwrap_or_default();
            let raw = raw.max(1.0);
            cost.ratio = encoded / raw;
            cost.encode_ns_byte = encode_ms * 1e6 / raw;
            cost.decode_ns_byte = decode_ms * 1e6 / raw;
        }
        self.costs
    }
}

struct Once {
    encode: Duration,
    decode: Duration,
    payload: usize,
    back: Tensor,
}
