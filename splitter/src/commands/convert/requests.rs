//! `--target` and `--format`: what each part is to become, and whether its backend takes it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum as _;

use crate::convert::{Kind, Request, kinds_of};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::{Graph, NodeId};
use crate::support;
use crate::target::{self, Target};

/// What parts are to become.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Convert")]
pub struct ConvertArgs {
    /// Make what this board's backends load, and name them in the manifest: NAME for part 0, or K=NAME; repeat it.
    #[arg(long = "target", value_name = "[K=]NAME")]
    pub targets: Vec<Placed>,
    /// Make this (`kerf convert formats`): FORMAT for part 0, or K=FORMAT; repeat it.
    #[arg(long = "format", value_name = "[K=]FORMAT")]
    pub formats: Vec<Placed>,
    /// Calibrate and compare on this: an image, .npy or .npz of the model's input, or a folder of them.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Use every n-th file only, so that at most this many are read.
    #[arg(long, value_name = "COUNT", default_value_t = 100, requires = "data")]
    pub samples: usize,
}

/// A name that belongs to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    part: usize,
    name: String,
}

impl FromStr for Placed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (part, name) = match text.split_once('=') {
            Some((part, name)) => (
                part.parse().map_err(|_| format!("{part:?} is no number of a part"))?,
                name,
            ),
            None => (0, text),
        };
        Ok(Self {
            part,
            name: name.to_owned(),
        })
    }
}

impl ConvertArgs {
    /// True where nothing is to be made.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.formats.is_empty()
    }

    fn boards(&self) -> impl Iterator<Item = Result<(usize, Target), Failure>> + '_ {
        let find = |placed: &Placed| Ok((placed.part, target::find(&placed.name).or_exit(Exit::Usage)?));
        self.targets.iter().map(find)
    }

    /// What each part is to become, a request a part.
    ///
    /// # Errors
    /// When a board or a format is not known.
    pub fn requests(&self) -> Result<Vec<Request>, Failure> {
        let mut requests: Vec<Request> = Vec::new();
        let mut add = |part: usize, kinds: &[Kind], backends: &[String]| {
            let at = requests.iter().position(|r| r.part == part).unwrap_or_else(|| {
                requests.push(Request {
                    part,
                    ..Request::default()
                });
                requests.len() - 1
            });
            if let Some(request) = requests.get_mut(at) {
                kinds.iter().for_each(|kind| {
                    if !request.kinds.contains(kind) {
                        request.kinds.push(*kind);
                    }
                });
                request.backends.extend_from_slice(backends);
            }
        };
        for board in self.boards() {
            let (part, board) = board?;
            add(part, &kinds_of(&board), &board.backends);
        }
        for placed in &self.formats {
            let known = || Kind::ALL.map(Kind::name).join(", ");
            let kind = Kind::from_str(&placed.name, false)
                .map_err(|_| Failure::usage(format!("no format {:?}; there are {}", placed.name, known())))?;
            match kind {
                Kind::Edgetpu => add(placed.part, &[Kind::TfliteInt8, kind], &[]),
                _ => add(placed.part, &[kind], &[]),
            }
        }
        // TensorRT runs a part that has no 16-bit form, e.g. one in int8, as it was cut: a board alone does not insist.
        let insists = |part: usize| {
            self.formats
                .iter()
                .any(|f| f.part == part && f.name == Kind::OnnxF16.name())
        };
        for request in requests.iter_mut().filter(|request| !insists(request.part)) {
            request.optional = request.kinds.iter().copied().filter(|k| *k == Kind::OnnxF16).collect();
        }
        Ok(requests)
    }
}

/// Refuses a part with an operator that its first backend, or what runs one of its formats, does not have.
///
/// # Errors
/// Exit code 11 with the operator and the nearest cut that works.
pub(in crate::commands) fn check_operators(
    graph: &Graph,
    nodes: impl IntoIterator<Item = NodeId>,
    request: &Request,
    what: &ConvertArgs,
) -> Result<(), Failure> {
    let nodes: Vec<NodeId> = nodes.into_iter().collect();
    let first = request.backends.first().map(String::as_str);
    let backends = first.into_iter().chain(request.kinds.iter().map(|kind| kind.backend()));
    for backend in backends {
        let Some(lacking) = support::first_lacking(graph, nodes.iter().copied(), backend) else {
            continue;
        };
        let part = request.part;
        let names = what.targets.iter().filter(|t| t.part == part).map(|t| t.name.as_str());
        let board = names.collect::<Vec<_>>().join(", ");
        let on = if board.is_empty() {
            String::new()
        } else {
            format!(" on {board}")
        };
        let hint = match support::deepest_head(graph, backend) {
            Some(cut) if part == 0 => format!("; the nearest cut that works: --at {}", cut.names(graph).join(" ")),
            None if part == 0 => "; no cut of one value leaves a part that it takes".to_owned(),
            _ => String::new(),
        };
        let text = format!("part {part} does not run{on}: {lacking}{hint}");
        return Err(Failure::new(Exit::NoCut, anyhow::anyhow!(text)));
    }
    for backend in request.backends.iter().skip(1) {
        if let Some(lacking) = support::first_lacking(graph, nodes.iter().copied(), backend) {
            log::warn!(
                "event=no-fallback part={} {lacking}: this backend cannot step in",
                request.part
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn boards_and_formats_add_up_to_a_request_a_part() {
        let placed = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        let what = ConvertArgs {
            targets: placed(&["coral-usb", "1=cloud-amd64"]),
            formats: placed(&["onnx-f16", "1=openvino-ir", "tflite-int8"]),
            ..ConvertArgs::default()
        };
        let requests = what.requests().unwrap();
        assert_eq!(requests[0].kinds, [Kind::TfliteInt8, Kind::Edgetpu, Kind::OnnxF16]);
        assert_eq!(requests[0].backends, ["edgetpu"]);
        assert_eq!(
            (requests[1].part, requests[1].kinds.as_slice()),
            (1, [Kind::OpenvinoIr].as_slice())
        );
        assert_eq!(requests[1].backends, ["tract"]);
        assert!("x=tflite".parse::<Placed>().is_err());
        assert!(requests[0].optional.is_empty());
        let jetson = ConvertArgs {
            targets: placed(&["jetson-orin"]),
            ..ConvertArgs::default()
        };
        let request = &jetson.requests().unwrap()[0];
        assert_eq!(
            (&request.kinds, &request.optional),
            (&vec![Kind::OnnxF16], &vec![Kind::OnnxF16])
        );
        let unknown = ConvertArgs {
            formats: placed(&["caffe"]),
            ..ConvertArgs::default()
        };
        assert!(unknown.requests().unwrap_err().to_string().contains("myriad-blob"));
    }
}
