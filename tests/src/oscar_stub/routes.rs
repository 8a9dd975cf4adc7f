//! The manager's REST interface.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tiny_http::{Header, Request, Response};

use super::{Cluster, PASSWORD, USER, job, now};

/// How long a promised upload is waited for.
const LONGEST_UPLOAD: Duration = Duration::from_mins(1);

/// A status with a text or a JSON document.
type Answer = (u16, Vec<u8>);

/// Answers one request and notes it.
pub(super) fn serve(cluster: &Arc<Cluster>, mut request: Request) {
    let mut body = Vec::new();
    drop(request.as_reader().read_to_end(&mut body));
    let method = request.method().to_string();
    let target = request.url().to_owned();
    let authorization = request
        .headers()
        .iter()
        .find(|h| h.field.equiv("Authorization"))
        .map_or_else(String::new, |h| h.value.to_string());
    let failure = {
        let mut state = cluster.state();
        let line = format!("{method} {target}");
        let hit = state
            .failures
            .iter()
            .position(|(requests, _)| line.starts_with(requests));
        state.requests.push(line);
        hit.map(|at| state.failures.remove(at).1)
    };
    let (status, answer) = match failure {
        Some(status) => (status, b"try later".to_vec()),
        None => answer(cluster, &method, &target, &authorization, &body),
    };
    let kind = Header::from_bytes(
        "content-type",
        if answer.starts_with(b"{") {
            "application/json"
        } else {
            "text/plain"
        },
    );
    let response = Response::from_data(answer)
        .with_status_code(status)
        .with_header(kind.expect("a header"));
    drop(request.respond(response));
}

fn answer(cluster: &Arc<Cluster>, method: &str, target: &str, authorization: &str, body: &[u8]) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["s3", bucket, key @ ..] = segments.as_slice() {
        return s3(cluster, method, bucket, &job::unescaped(&key.join("/")), body);
    }
    if let ["api", "v1", "namespaces", "oscar-svc", "pods"] = segments.as_slice() {
        return pods(cluster, query);
    }
    if segments.first() == Some(&"objects") {
        return object(cluster, method, target, body);
    }
    let basic = format!("Basic {}", BASE64.encode(format!("{USER}:{PASSWORD}")));
    let of_service = |name: &str| {
        let state = cluster.state();
        let token = state
            .services
            .get(name)
            .and_then(|s| s.get("token"))
            .and_then(Value::as_str);
        token.is_some_and(|token| authorization == format!("Bearer {token}"))
    };
    let allowed = match segments.as_slice() {
        ["health"] => true,
        ["job" | "run", name] => of_service(name),
        _ => authorization == basic,
    };
    if !allowed {
        return (401, b"Unauthorized".to_vec());
    }
    match (method, segments.as_slice()) {
        ("GET", ["health"]) => (200, b"Ok".to_vec()),
        ("GET", ["system", "info"]) => ok(
            &json!({"version": "4.1.2", "kubernetes_version": "v1.33.1", "architecture": "amd64",
            "serverless_backend": {"name": "Knative", "version": "1.18"}}),
        ),
        ("GET", ["system", "services"]) => ok(&cluster.state().services.values().cloned().collect()),
        ("POST" | "PUT", ["system", "services"]) => create(cluster, method == "POST", body),
        ("GET", ["system", "services", name]) => match cluster.state().services.get(*name) {
            Some(service) => ok(service),
            None => (404, b"The service was not found".to_vec()),
        },
        ("DELETE", ["system", "services", name]) => match cluster.state().services.remove(*name) {
            Some(_) => (204, Vec::new()),
            None => (404, b"The service was not found".to_vec()),
        },
        ("GET", ["system", "services", name, "deployment"]) => {
            ok(&json!({"service_name": name, "state": "ready", "active_instances": 1}))
        }
        (_, ["system", "services", _, "exposed", rest @ ..]) => exposed(cluster, method, &rest.join("/"), body),
        ("POST", ["system", "buckets", bucket, "presign"]) => presign(cluster, bucket, body),
        ("POST", ["job", name]) => {
            job::start(cluster, name, String::from_utf8_lossy(body).into_owned());
            (201, Vec::new())
        }
        ("POST", ["run", name]) => run(cluster, name, body),
        ("GET", ["system", "logs", service]) => logs(cluster, service, query),
        ("GET", ["system", "logs", _, name]) => match cluster.state().jobs.get(*name) {
            Some(job) if query == "timestamps=true" => (200, job.log.clone().into_bytes()),
            Some(job) => (200, without_times(&job.log).into_bytes()),
            None => (404, b"Not found".to_vec()),
        },
        ("DELETE", ["system", "logs", service]) => {
            let all = query.contains("all=true");
            let keep = |job: &super::JobRecord| job.service != *service || !(all || job.finished.is_some());
            cluster.state().jobs.retain(|_, job| keep(job));
            (204, Vec::new())
        }
        _ => (404, b"404 page not found".to_vec()),
    }
}

fn without_times(log: &str) -> String {
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    lines.flat_map(|(_, line)| [line, "\n"]).collect()
}

/// The one question that `kubectl get --raw` asks of Kubernetes: the pod of a job. Its container ran as long as the job.
fn pods(cluster: &Cluster, query: &str) -> Answer {
    let state = cluster.state();
    let name = job::unescaped(query);
    let name = name.strip_prefix("labelSelector=job-name=").unwrap_or_default();
    let pod = |job: &super::JobRecord| {
        json!({"metadata": {"name": format!("{name}-x7k2p"), "creationTimestamp": job.created},
            "status": {"containerStatuses": [{"state": {"terminated": {"startedAt": job.started, "finishedAt": job.finished}}}]}})
    };
    let items: Vec<Value> = state.jobs.get(name).map(pod).into_iter().collect();
    ok(&json!({"kind": "PodList", "apiVersion": "v1", "items": items}))
}

fn ok(value: &Value) -> Answer {
    (200, value.to_string().into_bytes())
}

fn create(cluster: &Cluster, new: bool, body: &[u8]) -> Answer {
    let Ok(mut service) = serde_json::from_slice::<Value>(body) else {
        return (400, b"The service specification is not valid".to_vec());
    };
    let text = |key: &str| service.get(key).and_then(Value::as_str).map(str::to_owned);
    let Some(name) = text("name").filter(|name| (1..=39).contains(&name.len())) else {
        return (
            400,
            b"Key: 'Service.Name' Error:Field validation for 'Name' failed".to_vec(),
        );
    };
    let strings = ["cpu", "memory", "image", "script"].map(|key| service.get(key).is_none_or(Value::is_string));
    let exposed = service.pointer("/expose/api_port").is_some();
    if strings.contains(&false) || text("image").is_none() || (text("script").is_none() && !exposed) {
        return (
            400,
            b"The service specification is not valid: image and script are needed, cpu is a string".to_vec(),
        );
    }
    let mut state = cluster.state();
    match (new, state.services.contains_key(&name)) {
        (true, true) => return (409, b"A service with the provided name already exists".to_vec()),
        (false, false) => return (404, b"The service was not found".to_vec()),
        _ => {}
    }
    for io in ["input", "output"]
        .into_iter()
        .filter_map(|key| service.get(key).and_then(Value::as_array))
    {
        let paths = io.iter().filter_map(|i| i.get("path").and_then(Value::as_str));
        for bucket in paths.filter_map(|p| p.split('/').next()) {
            if !state.buckets.iter().any(|known| known == bucket) {
                cluster.options.store.make(bucket);
                state.buckets.push(bucket.to_owned());
            }
        }
    }
    if let Some(fields) = service.as_object_mut() {
        fields.insert("token".into(), format!("{:0>64}", state.services.len()).into());
    }
    state.services.insert(name, service);
    (if new { 201 } else { 204 }, Vec::new())
}

fn presign(cluster: &Arc<Cluster>, bucket: &str, body: &[u8]) -> Answer {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (key, operation) = (text("object_key"), text("operation"));
    let expires = asked.get("expires_in").and_then(Value::as_u64).unwrap_or(900);
    if key.is_empty() || !["upload", "download"].contains(&operation.as_str()) || !(1..=604_800).contains(&expires) {
        return (400, b"invalid presign request".to_vec());
    }
    let mut state = cluster.state();
    if !state.buckets.iter().any(|b| b == bucket) {
        return (404, b"bucket not found".to_vec());
    }
    let method = if operation == "upload" { "PUT" } else { "GET" };
    let answer = |url: String| {
        ok(
            &json!({"object_key": key, "operation": operation, "method": method, "url": url, "expires_at": now(),
            "headers": {"Content-Type": text("content_type")}}),
        )
    };
    if let Some(url) = cluster.options.store.presigned(bucket, &key, method == "PUT", expires) {
        drop(state);
        if method == "PUT" {
            watch(cluster, bucket.to_owned(), key.clone());
        }
        return answer(url);
    }
    let target = format!("/objects/{bucket}/{key}?signature={}", state.presigned.len());
    let url = format!("http://{}{target}", cluster.address);
    state
        .presigned
        .insert(target, (method.to_owned(), bucket.to_owned(), key.clone()));
    answer(url)
}

/// Stands in for MinIO's notification, which no server at hand has: waits until the promised object is there.
fn watch(cluster: &Arc<Cluster>, bucket: String, key: String) {
    let shared = Arc::clone(cluster);
    let thread = std::thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_UPLOAD {
            if let Some(body) = shared.options.store.read(&bucket, &key) {
                return created(&shared, &bucket, &key, body.len());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    cluster.state().running.push(thread);
}

/// An object below a service's input path is an event.
fn created(cluster: &Arc<Cluster>, bucket: &str, key: &str, bytes: usize) {
    let services = cluster.state().services.clone();
    for (name, service) in services {
        let inputs = service.get("input").and_then(Value::as_array);
        let mut paths = inputs
            .into_iter()
            .flatten()
            .filter_map(|i| i.get("path").and_then(Value::as_str));
        if paths.any(|path| format!("{bucket}/{key}").starts_with(&format!("{path}/"))) {
            job::start(cluster, &name, job::event(bucket, key, bytes).to_string());
        }
    }
}

/// The object store's side, where the stub is the store.
fn object(cluster: &Arc<Cluster>, method: &str, target: &str, body: &[u8]) -> Answer {
    let Some((signed, bucket, key)) = cluster.state().presigned.get(target).cloned() else {
        return (403, b"SignatureDoesNotMatch".to_vec());
    };
    if signed != method {
        return (403, b"SignatureDoesNotMatch".to_vec());
    }
    if method == "GET" {
        return cluster
            .options
            .store
            .read(&bucket, &key)
            .map_or((404, b"NoSuchKey".to_vec()), |body| (200, body));
    }
    cluster.options.store.write(&bucket, &key, body.to_vec());
    created(cluster, &bucket, &key, body.len());
    (200, Vec::new())
}

/// As much of S3 as the real supervisor asks for.
fn s3(cluster: &Cluster, method: &str, bucket: &str, key: &str, body: &[u8]) -> Answer {
    match method {
        "PUT" => {
            cluster.options.store.write(bucket, key, body.to_vec());
            (200, Vec::new())
        }
        _ => cluster
            .options
            .store
            .read(bucket, key)
            .map_or((404, b"NoSuchKey".to_vec()), |body| (200, body)),
    }
}

fn run(cluster: &Cluster, name: &str, body: &[u8]) -> Answer {
    let service = cluster.state().services.get(name).cloned().unwrap_or_default();
    let (log, files) = job::supervise(cluster, &service, &String::from_utf8_lossy(body), name);
    let log = without_times(&log);
    match files.as_slice() {
        [(_, file)] => (200, BASE64.encode(file).into_bytes()),
        _ => (200, log.into_bytes()),
    }
}

fn logs(cluster: &Cluster, service: &str, query: &str) -> Answer {
    let state = cluster.state();
    let page = query
        .strip_prefix("page=")
        .and_then(|p| p.parse().ok())
        .unwrap_or(0_usize);
    let of_service: Vec<_> = state.jobs.iter().filter(|(_, job)| job.service == service).collect();
    let entry = |(name, job): &(&String, &super::JobRecord)| {
        let info = json!({"status": job.status, "creation_time": job.created, "start_time": job.started, "finish_time": job.finished});
        ((*name).clone(), info)
    };
    if cluster.options.old_logs {
        return ok(&Value::Object(of_service.iter().map(entry).collect()));
    }
    let size = cluster.options.page;
    let jobs = of_service.iter().skip(page * size).take(size).map(entry).collect();
    let remaining = of_service.len().saturating_sub((page + 1) * size);
    let next = if remaining > 0 {
        (page + 1).to_string()
    } else {
        String::new()
    };
    ok(&json!({"jobs": Value::Object(jobs), "next_page": next, "remaining_jobs": remaining}))
}

fn exposed(cluster: &Cluster, method: &str, rest: &str, body: &[u8]) -> Answer {
    let Some(container) = cluster.options.exposed else {
        return (503, b"no available server".to_vec());
    };
    let (status, _, answer) = crate::http::Client::new(container).send(method, &format!("/{rest}"), &[], body);
    (status, answer)
}

/// Base64, where it is.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}
