//! Where the stub's objects lie.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use kerf_runtime::object::Folder as _;
use kerf_runtime::object::s3::{S3Config, S3Store};
use rusty_s3::actions::{GetObject, PutObject, S3Action as _};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use serde_json::{Value, json};

use crate::lock;
use crate::s3::{ACCESS_KEY, S3Server, SECRET_KEY};

/// Longest object that the stub reads.
const MAX_BYTES: u64 = 1 << 28;

/// Objects by bucket and key.
pub enum Store {
    /// In memory; presigned addresses point at the stub itself.
    Here(Mutex<BTreeMap<(String, String), Vec<u8>>>),
    /// In a real S3 server; presigned addresses are its own.
    S3(S3Server),
}

impl Store {
    /// An empty one in memory.
    pub fn here() -> Self {
        Self::Here(Mutex::default())
    }

    /// What the supervisor is told of it; `here` is where the stub answers for S3 itself.
    pub(super) fn provider(&self, here: &str) -> Value {
        match self {
            Self::Here(_) => json!({"endpoint": here, "verify": false, "region": "us-east-1",
                "access_key": "minio", "secret_key": "minio-secret"}),
            Self::S3(server) => json!({"endpoint": server.config(server.port()).endpoint, "verify": false,
                "region": "us-east-1", "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}),
        }
    }

    /// A presigned address of the server's own, good for `seconds`; none where the stub gives its own.
    pub(super) fn presigned(&self, bucket: &str, key: &str, upload: bool, seconds: u64) -> Option<String> {
        let Self::S3(server) = self else { return None };
        let config = server.config(server.port());
        let endpoint = config.endpoint.parse().expect("an address");
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), config.region).expect("a bucket");
        let keys = Credentials::new(ACCESS_KEY, SECRET_KEY);
        let good_for = Duration::from_secs(seconds);
        Some(if upload {
            PutObject::new(&bucket, Some(&keys), key).sign(good_for).to_string()
        } else {
            GetObject::new(&bucket, Some(&keys), key).sign(good_for).to_string()
        })
    }

    pub(super) fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        match self {
            Self::Here(objects) => lock(objects).get(&(bucket.into(), key.into())).cloned(),
            Self::S3(server) => opened(server, bucket).read(key, MAX_BYTES).ok(),
        }
    }

    pub(super) fn write(&self, bucket: &str, key: &str, body: Vec<u8>) {
        match self {
            Self::Here(objects) => drop(lock(objects).insert((bucket.into(), key.into()), body)),
            Self::S3(server) => opened(server, bucket)
                .write(key, &body)
                .expect("the server takes the object"),
        }
    }

    /// Makes a bucket, as creating a service does.
    pub(super) fn make(&self, bucket: &str) {
        if let Self::S3(server) = self {
            // The server makes the bucket of the first object.
            let mut store = opened(server, bucket);
            store
                .write("probe", b"x")
                .and_then(|()| store.delete("probe"))
                .expect("makes the bucket");
        }
    }
}

fn opened(server: &S3Server, bucket: &str) -> S3Store {
    let config = S3Config {
        bucket: bucket.to_owned(),
        ..server.config(server.port())
    };
    S3Store::new(config).expect("a store")
}
