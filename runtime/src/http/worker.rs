//! The bounded queue between the sockets' thread and the model's.
//!
//! Decoding, running and encoding all happen on the model's thread: a large JSON body never holds up `/healthz`.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use tokio::sync::{mpsc, oneshot};

use super::body::Body;
use super::limits::MAX_QUEUED;
use super::reply::Reply;
use super::{AnswerError, Card, Model, oip};

/// What a client asks of the model.
#[derive(Debug)]
pub(super) enum Ask {
    /// An Open Inference Protocol request; the JSON's length where binary tensors follow it.
    Infer { body: Body, json_bytes: Option<usize> },
    /// A sealed frame.
    Frame { body: Body },
}

struct Job {
    ask: Ask,
    until: Instant,
    answer: oneshot::Sender<(Reply, Duration)>,
}

/// The sockets' end of the queue.
#[derive(Debug, Clone)]
pub(super) struct Queue(mpsc::Sender<Job>);

impl Queue {
    /// Starts one thread a model.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(card: &Card, models: Vec<Box<dyn Model>>) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |(index, model)| {
            let (card, receiver) = (card.clone(), Arc::clone(&receiver));
            std::thread::Builder::new()
                .name(format!("model-{index}"))
                .spawn(move || work(&card, model, &receiver))
        };
        let threads = models.into_iter().enumerate().map(start).collect::<Result<_, _>>()?;
        Ok((Self(sender), threads))
    }

    /// True while a model's thread lives.
    pub(super) fn is_alive(&self) -> bool {
        !self.0.is_closed()
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }

    /// Has the model answer, within the time.
    pub(super) async fn ask(&self, ask: Ask, within: Duration) -> (Reply, Option<Duration>) {
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + within;
        if let Err(why) = self.0.try_send(Job { ask, until, answer }) {
            let text = match why {
                mpsc::error::TrySendError::Full(_) => "all places in the queue are taken; try again",
                mpsc::error::TrySendError::Closed(_) => "the model's thread has ended",
            };
            let busy = Reply::error(StatusCode::SERVICE_UNAVAILABLE, text);
            return (busy.with(RETRY_AFTER, HeaderValue::from_static("1")), None);
        }
        match tokio::time::timeout(within, answered).await {
            Ok(Ok((reply, ran))) => (reply, Some(ran)),
            Ok(Err(_)) => {
                let text = "the model's thread ended while it answered, or took this up too late";
                (Reply::error(StatusCode::SERVICE_UNAVAILABLE, text), None)
            }
            Err(_) => {
                let text = format!("no answer within {} s", within.as_secs());
                (Reply::error(StatusCode::GATEWAY_TIMEOUT, &text), None)
            }
        }
    }
}

fn work(card: &Card, mut model: Box<dyn Model>, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // The lock is held while waiting: with several models, one waits on the queue and the others on the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Job { ask, until, answer }) = job else { return };
        // Whoever asked has gone, or is told 504 by now: running would only hold up the rest.
        if answer.is_closed() || Instant::now() >= until {
            continue;
        }
        let start = Instant::now();
        let reply = reply(card, model.as_mut(), &ask);
        if answer.send((reply, start.elapsed())).is_err() {
            log::debug!("msg=\"the client went before its answer\"");
        }
    }
}

fn reply(card: &Card, model: &mut dyn Model, ask: &Ask) -> Reply {
    let answered = match ask {
        Ask::Infer { body, json_bytes } => match oip::parse(card, &body.bytes, *json_bytes) {
            Err(why) => return Reply::error(StatusCode::BAD_REQUEST, &why.to_string()),
            Ok(request) => model.infer(request.inputs).map(|outputs| {
                oip::answer(card, &request.wanted, &outputs)
                    .unwrap_or_else(|why| Reply::error(StatusCode::UNPROCESSABLE_ENTITY, &why.to_string()))
            }),
        },
        Ask::Frame { body } => model.frame(&body.bytes).map(|result| Reply::json(&result)),
    };
    answered.unwrap_or_else(|why| {
        let status = match why {
            AnswerError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AnswerError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Reply::error(status, &why.to_string())
    })
}
