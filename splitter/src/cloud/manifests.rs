//! Descriptions for OSCAR and Kubernetes: templates with comments for whoever edits them, filled with checked words.

use std::fs;
use std::path::Path;

use super::parts::Parts;
use super::scalar::{Broker, Bucket, Cluster, ImageName, Name, Quantity};
use super::{CloudError, file_error};

/// What differs from one deployment to another.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The service.
    pub name: Name,
    /// The container image.
    pub image: ImageName,
    /// The cluster's id in FDL files.
    pub cluster: Cluster,
    /// The bucket of OSCAR's jobs, with `in` and `out` below it.
    pub bucket: Bucket,
    /// The workers' broker.
    pub broker: Broker,
    /// Processor for one replica or job.
    pub cpu: Quantity,
    /// Memory for one replica or job.
    pub memory: Quantity,
    /// Fewest and most replicas.
    pub replicas: (u32, u32),
}

/// Every file: where it goes, and its template.
const FILES: [(&str, &str); 14] = [
    ("README.md", include_str!("templates/README.md")),
    ("Dockerfile", include_str!("templates/Dockerfile")),
    ("oscar-async/fdl.yaml", include_str!("templates/oscar/async.yaml")),
    ("oscar-async/script.sh", include_str!("templates/oscar/script.sh")),
    ("oscar-sync/fdl.yaml", include_str!("templates/oscar/sync.yaml")),
    ("oscar-sync/script.sh", include_str!("templates/oscar/script.sh")),
    ("oscar-exposed/fdl.yaml", include_str!("templates/oscar/exposed.yaml")),
    (
        "oscar-exposed/script.sh",
        include_str!("templates/oscar/exposed-script.sh"),
    ),
    (
        "kubernetes/kustomization.yaml",
        include_str!("templates/kubernetes/kustomization.yaml"),
    ),
    ("kubernetes/serve.yaml", include_str!("templates/kubernetes/serve.yaml")),
    (
        "kubernetes/worker.yaml",
        include_str!("templates/kubernetes/worker.yaml"),
    ),
    (
        "kubernetes/network.yaml",
        include_str!("templates/kubernetes/network.yaml"),
    ),
    (
        "kubernetes-keda/kustomization.yaml",
        include_str!("templates/keda/kustomization.yaml"),
    ),
    (
        "kubernetes-keda/scaledobject.yaml",
        include_str!("templates/keda/scaledobject.yaml"),
    ),
];

/// What of them a set has: only a job knows its cut.
const OF_A_SET: [&str; 2] = ["Dockerfile", "oscar-"];
/// A set's own page.
const SET_README: &str = include_str!("templates/README-set.md");

/// The files for a bundle, or for a set.
fn files_for(parts: &Parts) -> Vec<(&'static str, &'static str)> {
    if parts.last.is_some() {
        return FILES.to_vec();
    }
    let fits = |path: &str| OF_A_SET.iter().any(|begin| path.starts_with(begin)) && !path.contains("exposed");
    let mut files = vec![("README.md", SET_README)];
    files.extend(FILES.into_iter().filter(|(path, _)| fits(path)));
    files
}

/// Writes all variants into a new folder, with the bundle's own files for the Dockerfile; gives the files' names. Nothing
/// is left behind when it fails.
///
/// # Errors
/// When the folder is there, or a file cannot be read or written.
pub fn write(parts: &Parts, settings: &Settings, to: &Path) -> Result<Vec<String>, CloudError> {
    if to.exists() {
        return Err(CloudError::Exists(to.display().to_string()));
    }
    let part = parts.last.unwrap_or_default();
    let fail = file_error(to);
    let parent = to
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let temporary = tempfile::tempdir_in(parent).map_err(&fail)?;
    let mut written = Vec::new();
    for (path, template) in files_for(parts) {
        put(temporary.path(), path, fill(template, settings, part).as_bytes()).map_err(&fail)?;
        written.push(path.to_owned());
    }
    for entry in fs::read_dir(&parts.dir).map_err(file_error(&parts.dir))? {
        let entry = entry.map_err(&fail)?;
        // Opening has refused links and what is no plain file among those that the manifest names.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let bytes = fs::read(entry.path()).map_err(file_error(&entry.path()))?;
            let path = format!("bundle/{}", entry.file_name().to_string_lossy());
            put(temporary.path(), &path, &bytes).map_err(&fail)?;
        }
    }
    readable(temporary.path()).map_err(&fail)?;
    fs::rename(temporary.path(), to).map_err(&fail)?;
    Ok(written)
}

fn put(folder: &Path, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    let file = folder.join(path);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, bytes)
}

/// A temporary folder is its owner's alone; what is handed over is not.
pub(super) fn readable(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn fill(template: &str, settings: &Settings, part: usize) -> String {
    let words: [(&str, &dyn std::fmt::Display); 11] = [
        ("name", &settings.name),
        ("image", &settings.image),
        ("cluster", &settings.cluster),
        ("bucket", &settings.bucket),
        ("broker", &settings.broker),
        ("broker_port", &settings.broker.port()),
        ("cpu", &settings.cpu),
        ("memory", &settings.memory),
        ("min_replicas", &settings.replicas.0),
        ("max_replicas", &settings.replicas.1),
        ("part", &part),
    ];
    let place = |text: String, (word, value): &(&str, &dyn std::fmt::Display)| {
        text.replace(&format!("@{word}@"), &value.to_string())
    };
    words.iter().fold(template.to_owned(), place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn no_template_has_a_place_that_nothing_fills() {
        let settings = Settings {
            name: "n".parse().unwrap(),
            image: "i".parse().unwrap(),
            cluster: "c".parse().unwrap(),
            bucket: "buc".parse().unwrap(),
            broker: "mqtt://b".parse().unwrap(),
            cpu: "1".parse().unwrap(),
            memory: "1Gi".parse().unwrap(),
            replicas: (1, 2),
        };
        for (path, template) in FILES.into_iter().chain([("README.md", SET_README)]) {
            let text = fill(template, &settings, 1);
            assert!(!text.contains('@'), "{path}: {text}");
        }
    }
}
