//! A container image of one bundle and `kerf-stage`, written as an OCI layout without Docker.
//!
//! ```text
//! /usr/bin/kerf-stage      layer 1: the static program, the same for every model
//! /etc/passwd              one user that is not root
//! /tmp/                    for whatever the stage has to write
//! /bundle/…                layer 2: the manifest and what the last part loads
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kerf_runtime::bundle::Bundle;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::content::{model_layer, program_layer};
use super::layer::{Entry, Layer, digest};
use super::oci::{self, Descriptor};
use super::{CloudError, file_error};

/// 1970: an image made twice is the same image.
const EPOCH: &str = "1970-01-01T00:00:00Z";
/// User and group that are not root, as distroless images number them.
const NONROOT: &str = "65532:65532";

/// What an image is made of.
#[derive(Debug)]
pub struct Image<'a> {
    /// The bundle whose last part is run.
    pub bundle: &'a Bundle,
    /// `kerf-stage`, static, one an architecture.
    pub programs: Vec<PathBuf>,
    /// `org.opencontainers.image.ref.name`: the tag.
    pub tag: String,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Digest of the index: the image's name for a registry, `sha256:…`.
    pub digest: String,
    /// Bytes of all layers as they travel.
    pub compressed_bytes: u64,
    /// Bytes of one architecture's layers unpacked, without the bundle's.
    pub program_bytes: u64,
    /// The architectures in it.
    pub architectures: Vec<&'static str>,
}

/// Blobs by digest.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn put(&mut self, media_type: &'static str, bytes: Vec<u8>) -> Descriptor {
        let hex = digest(&bytes).to_string();
        let size = bytes.len() as u64;
        self.0.insert(hex.clone(), bytes);
        Descriptor {
            media_type,
            digest: format!("sha256:{hex}"),
            size,
            platform: None,
            annotations: Map::new(),
        }
    }

    fn put_json(
        &mut self,
        media_type: &'static str,
        document: &impl Serialize,
    ) -> Result<Descriptor, serde_json::Error> {
        Ok(self.put(media_type, serde_json::to_vec(document)?))
    }
}

/// Writes an image: a folder in OCI layout, or one tar of it where the path ends with `.tar`. Nothing is left behind when
/// it fails.
///
/// # Errors
/// When the target is there, the bundle is refused, or a program is not static.
pub fn write(image: &Image<'_>, to: &Path) -> Result<Written, CloudError> {
    if to.exists() {
        return Err(CloudError::Exists(to.display().to_string()));
    }
    let (files, written) = layout(image)?;
    let parent = to
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let fail = file_error(to);
    if to.extension().is_some_and(|e| e == "tar") {
        let entries: Vec<Entry<'_>> = files
            .iter()
            .map(|(path, bytes)| Entry {
                path: path.clone(),
                mode: if path.ends_with('/') { 0o755 } else { 0o644 },
                bytes,
            })
            .collect();
        let mut temporary = tempfile::NamedTempFile::new_in(parent).map_err(&fail)?;
        super::layer::tar(&entries, &mut temporary).map_err(&fail)?;
        temporary.persist(to).map_err(|why| fail(why.error))?;
        return Ok(written);
    }
    let temporary = tempfile::tempdir_in(parent).map_err(&fail)?;
    fs::create_dir_all(temporary.path().join("blobs/sha256")).map_err(&fail)?;
    for (path, bytes) in files.iter().filter(|(path, _)| !path.ends_with('/')) {
        fs::write(temporary.path().join(path), bytes).map_err(&fail)?;
    }
    super::manifests::readable(temporary.path()).map_err(&fail)?;
    fs::rename(temporary.path(), to).map_err(&fail)?;
    Ok(written)
}

/// What lies at which path, folders first.
type Files = Vec<(String, Vec<u8>)>;

/// The layout's files.
fn layout(image: &Image<'_>) -> Result<(Files, Written), CloudError> {
    let bug = |why: serde_json::Error| CloudError::File {
        file: "the image's own JSON".to_owned(),
        why: why.into(),
    };
    let mut blobs = Blobs::default();
    let model = model_layer(image.bundle)?;
    let model_descriptor = blobs.put(oci::LAYER, model.gzip.clone());
    let mut manifests = Vec::new();
    let mut written = Written {
        digest: String::new(),
        compressed_bytes: model.gzip.len() as u64,
        program_bytes: 0,
        architectures: Vec::new(),
    };
    for path in &image.programs {
        let (architecture, program) = program_layer(path)?;
        if written.architectures.contains(&architecture) {
            return Err(CloudError::TwoPrograms(architecture));
        }
        written.architectures.push(architecture);
        written.compressed_bytes += program.gzip.len() as u64;
        written.program_bytes = written.program_bytes.max(program.tar_bytes);
        let config = config(image, architecture, &[&program, &model]);
        let layers = vec![blobs.put(oci::LAYER, program.gzip), model_descriptor.clone()];
        let manifest = oci::Manifest {
            schema_version: 2,
            media_type: oci::MANIFEST,
            config: blobs.put_json(oci::CONFIG, &config).map_err(bug)?,
            layers,
            annotations: labels(image),
        };
        let mut manifest = blobs.put_json(oci::MANIFEST, &manifest).map_err(bug)?;
        manifest.platform = Some(oci::Platform {
            architecture,
            os: "linux",
        });
        let tag = Value::String(image.tag.clone());
        manifest
            .annotations
            .insert("org.opencontainers.image.ref.name".to_owned(), tag);
        manifests.push(manifest);
    }
    let index = top(&mut blobs, image, manifests).map_err(bug)?;
    let index = serde_json::to_vec(&index).map_err(bug)?;
    written.digest = format!("sha256:{}", digest(&index));
    let marker = oci::Layout {
        image_layout_version: oci::LAYOUT_VERSION,
    };
    let mut files = vec![
        ("oci-layout".to_owned(), serde_json::to_vec(&marker).map_err(bug)?),
        ("index.json".to_owned(), index),
        ("blobs/".to_owned(), Vec::new()),
        ("blobs/sha256/".to_owned(), Vec::new()),
    ];
    files.extend(
        blobs
            .0
            .into_iter()
            .map(|(hex, bytes)| (format!("blobs/sha256/{hex}"), bytes)),
    );
    Ok((files, written))
}

/// One architecture stands in the index itself; several stand in an index of their own, so that the tag names one thing.
fn top(blobs: &mut Blobs, image: &Image<'_>, mut manifests: Vec<Descriptor>) -> Result<oci::Index, serde_json::Error> {
    let index = |manifests| oci::Index {
        schema_version: 2,
        media_type: oci::INDEX,
        manifests,
    };
    if manifests.len() == 1 {
        return Ok(index(manifests));
    }
    manifests.iter_mut().for_each(|m| m.annotations.clear());
    let mut inner = blobs.put_json(oci::INDEX, &index(manifests))?;
    inner
        .annotations
        .insert("org.opencontainers.image.ref.name".to_owned(), image.tag.clone().into());
    Ok(index(vec![inner]))
}

fn config(image: &Image<'_>, architecture: &'static str, layers: &[&Layer]) -> oci::Config {
    let history = |created_by| oci::History {
        created: EPOCH,
        created_by,
    };
    oci::Config {
        created: EPOCH,
        architecture,
        os: "linux",
        config: oci::Execution {
            user: NONROOT,
            exposed_ports: json!({"8080/tcp": {}}),
            // The image's digest covers the bundle as it does the program.
            env: [
                "KERF_BUNDLE=/bundle",
                "KERF_LISTEN=0.0.0.0:8080",
                "KERF_ALLOW_UNSIGNED=true",
            ]
            .map(str::to_owned)
            .to_vec(),
            entrypoint: vec!["/usr/bin/kerf-stage"],
            cmd: vec!["serve"],
            working_dir: "/",
            labels: labels(image),
        },
        rootfs: oci::RootFs {
            kind: "layers",
            diff_ids: layers.iter().map(|l| format!("sha256:{}", l.diff_id)).collect(),
        },
        history: vec![
            history("kerf cloud image: kerf-stage"),
            history("kerf cloud image: bundle"),
        ],
    }
}

fn labels(image: &Image<'_>) -> Map<String, Value> {
    let model = &image.bundle.manifest().model;
    let pairs = [
        (
            "org.opencontainers.image.title",
            format!("kerf-stage with {}", model.name),
        ),
        ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("kerf.bundle", image.bundle.id().to_string()),
        ("kerf.model", model.sha256.to_string()),
    ];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}
