//! `kerf-stage serve`: the last part behind HTTP.

use std::net::SocketAddr;

use clap::Args;
use kerf_runtime::exit::{Exit, Failure, OrExit as _};
use kerf_runtime::http::{AnswerError, Card, Model, NamedTensor, Options, Server};
use kerf_runtime::source::Input;
use kerf_runtime::stage::resident::{Resident, ResidentError};
use kerf_runtime::tensor::Tensor;
use kerf_runtime::wire::InferenceResult;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::target::Target;

/// Most copies of a part in one process.
const MAX_WORKERS: i64 = 64;

/// Answer over HTTP with the last part of a bundle: tensors by the Open Inference Protocol, frames as they are.
///
/// Plain HTTP: put it behind the cluster's ingress, or listen on the loopback. Runs until it is stopped; SIGTERM lets
/// answers under way finish.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage serve --bundle bundle
  kerf-stage serve --bundle bundle --listen 0.0.0.0:8080 --workers 2
  curl --data-binary @head.frame http://127.0.0.1:8080/kerf/v1/frames
  curl http://127.0.0.1:8080/v2/models/lenet5

Paths: /v2/models/NAME/infer, /kerf/v1/frames, /healthz, /readyz, /metrics")]
pub(crate) struct Serve {
    #[command(flatten)]
    target: Target,
    /// Address and port
    #[arg(long, env = "KERF_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Copies of the part, each on a thread of its own
    #[arg(long, env = "KERF_WORKERS", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MAX_WORKERS))]
    workers: u8,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let load = |_| self.target.resident();
        let models = (0..self.workers).map(load).collect::<Result<Vec<_>, _>>()?;
        // Before the port is open: a signal from now on ends it in order.
        let mut signals = Signals::new([SIGTERM, SIGINT]).or_exit(Exit::Bug)?;
        let mut server = start(self.listen, models)?;
        println!("http://{}", server.address());
        if let Some(signal) = signals.forever().next() {
            log::info!("event=stopping signal={signal}");
        }
        server.stop();
        Ok(())
    }
}

fn start(listen: SocketAddr, models: Vec<Resident>) -> Result<Server, Failure> {
    let first = models
        .first()
        .ok_or_else(|| Failure::usage("at least one worker is needed"))?;
    let backend = first.backend().unwrap_or("none");
    let card = Card {
        name: first.name().to_owned(),
        version: first.model().to_string().chars().take(12).collect(),
        platform: format!("kerf_{backend}"),
        inputs: first.reaching().to_vec(),
        outputs: first.leaving().to_vec(),
    };
    let mut options = Options::new(listen);
    options.warnings = first.warnings().to_vec();
    let (name, workers) = (card.name.clone(), models.len());
    let models = models
        .into_iter()
        .map(|m| Box::new(Served(m)) as Box<dyn Model>)
        .collect();
    let server = Server::start(options, Some((card, models)))
        .or_exit(Exit::Usage)
        .map_err(|failure| failure.context(format!("listening on {listen}")))?;
    let address = server.address();
    log::info!("event=serving address={address} model={name} backend={backend} workers={workers}");
    Ok(server)
}

/// A part as the server asks it.
struct Served(Resident);

impl Model for Served {
    fn infer(&mut self, tensors: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, AnswerError> {
        let input = Input {
            label: "http".to_owned(),
            tensors,
        };
        let leaving = self.0.tensors(&input).map_err(|why| refusal(&why.into()))?;
        let copy = |(name, tensor): &(&str, _)| Ok(((*name).to_owned(), Tensor::copy_of(*tensor)?));
        let copies = leaving.values.iter().map(copy).collect::<Result<_, _>>();
        copies.map_err(|why: kerf_runtime::wire::WireError| AnswerError::Failed(why.to_string()))
    }

    fn frame(&mut self, frame: &[u8]) -> Result<InferenceResult, AnswerError> {
        self.0.frame(frame).map_err(|why| refusal(&why))
    }
}

fn refusal(why: &ResidentError) -> AnswerError {
    use kerf_runtime::backend::RunError;
    match why {
        ResidentError::Run(RunError::Engine(_)) => AnswerError::Failed(why.to_string()),
        _ => AnswerError::Refused(why.to_string()),
    }
}
