//! Sockets: accepting them, one task each, all on one thread; stopping in order.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::limits::{BODY_UNIT_BYTES, MAX_BODIES_BYTES, MAX_HEAD_BYTES, MAX_HEADERS};
use super::metrics::Metrics;
use super::reply::Reply;
use super::slow::Impatient;
use super::worker::Queue;
use super::{Card, Model, Options, Shared, routes};

/// How long connections may finish their answers after a stop.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Pause after an accept that failed, e.g. with no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and answers with these copies of one model; without a model only health and metrics.
    ///
    /// # Errors
    /// When the address cannot be bound or a thread cannot be started.
    pub fn start(options: Options, model: Option<(Card, Vec<Box<dyn Model>>)>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(options.listen))?;
        let address = listener.local_addr()?;
        let mut limits = options.limits;
        limits.body_bytes = limits.body_bytes.min(MAX_BODIES_BYTES);
        let (card, queue) = match model {
            Some((card, models)) => {
                let (queue, _threads) = Queue::start(&card, models)?;
                (Some(card), Some(queue))
            }
            None => (None, None),
        };
        let shared = Arc::new(Shared {
            card,
            limits,
            warnings: options.warnings,
            metrics: Metrics::new(options.registry),
            queue,
            // One unit more a body, see `body::read`.
            bodies: Arc::new(Semaphore::new(MAX_BODIES_BYTES / BODY_UNIT_BYTES + limits.connections)),
        });
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(accept(listener, &shared, stopped));
        })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens: the port is the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets answers under way finish, at most ten seconds.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("msg=\"the http thread had panicked\"");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends when the server is to stop.
async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone: the same.
    drop(stopped.wait_for(|stop| *stop).await);
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let next = async {
            // The place first: without one, clients wait in the kernel's backlog and cost us nothing.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stop_asked(&mut stopped) => break,
        };
        match accepted {
            (place, Ok((socket, _))) => {
                let (shared, stopped) = (Arc::clone(shared), stopped.clone());
                tokio::spawn(async move {
                    shared.metrics.connections.inc();
                    connection(socket, &shared, stopped).await;
                    shared.metrics.connections.dec();
                    drop(place);
                });
            }
            (_, Err(why)) => {
                log::warn!("msg=\"accept failed\" why=\"{why}\"");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(DRAIN_TIME, places.acquire_many(all))
        .await
        .is_err()
    {
        log::warn!("msg=\"connections still open at the end\"");
    }
}

async fn connection(socket: TcpStream, shared: &Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    if let Err(why) = socket.set_nodelay(true) {
        log::debug!("msg=\"no TCP_NODELAY\" why=\"{why}\"");
    }
    let io = TokioIo::new(Impatient::new(socket, shared.limits.stall_time));
    let service = service_fn(|request| serve(shared, request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head_time)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop_asked(&mut stopped) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(why) = ended {
        log::debug!("msg=\"connection ended\" why=\"{why}\"");
    }
}

async fn serve(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let start = Instant::now();
    let route = routes::route(shared.card.as_ref(), request.uri().path());
    let reply = routes::answer(shared, route, request).await;
    shared
        .metrics
        .answered(route.label(), reply.status.as_u16(), start.elapsed());
    Ok(response(reply))
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.extend(reply.extra);
    response
}
