//! The four JSON documents of an OCI image: what is needed of them, no more.
//!
//! Sources: OCI image specification 1.1: `image-layout.md`, `image-index.md`, `manifest.md`, `config.md`.

use serde::Serialize;

pub(super) const LAYOUT_VERSION: &str = "1.0.0";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// `oci-layout`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layout {
    pub(super) image_layout_version: &'static str,
}

/// `index.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u8,
    pub(super) media_type: &'static str,
    pub(super) manifests: Vec<Descriptor>,
}

/// A blob by its digest.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: &'static str,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub(super) annotations: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Platform {
    pub(super) architecture: &'static str,
    pub(super) os: &'static str,
}

/// One architecture's image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u8,
    pub(super) media_type: &'static str,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    pub(super) annotations: serde_json::Map<String, serde_json::Value>,
}

/// How the image is run.
#[derive(Serialize)]
pub(super) struct Config {
    pub(super) created: &'static str,
    pub(super) architecture: &'static str,
    pub(super) os: &'static str,
    pub(super) config: Execution,
    pub(super) rootfs: RootFs,
    pub(super) history: Vec<History>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Execution {
    pub(super) user: &'static str,
    pub(super) exposed_ports: serde_json::Value,
    pub(super) env: Vec<String>,
    pub(super) entrypoint: Vec<&'static str>,
    pub(super) cmd: Vec<&'static str>,
    pub(super) working_dir: &'static str,
    pub(super) labels: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
pub(super) struct RootFs {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) diff_ids: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct History {
    pub(super) created: &'static str,
    pub(super) created_by: &'static str,
}
