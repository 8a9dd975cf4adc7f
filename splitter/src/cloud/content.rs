//! What lies in an image: the program with its user, and the bundle's last part.

use std::fs;
use std::path::Path;

use kerf_runtime::bundle::Bundle;

use super::layer::{Entry, Layer, layer};
use super::{CloudError, MAX_PROGRAM_BYTES, elf, file_error};

const PASSWD: &[u8] = b"nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &[u8] = b"nonroot:x:65532:\n";

/// The program's layer and its architecture.
pub(super) fn program_layer(path: &Path) -> Result<(&'static str, Layer), CloudError> {
    let fail = file_error(path);
    let length = fs::metadata(path).map_err(&fail)?.len();
    if length > MAX_PROGRAM_BYTES {
        return Err(fail(std::io::Error::other(format!(
            "{length} bytes are over the limit of {MAX_PROGRAM_BYTES}"
        ))));
    }
    let program = fs::read(path).map_err(&fail)?;
    let architecture = elf::static_architecture(&program).map_err(|why| CloudError::Program {
        file: path.display().to_string(),
        why,
    })?;
    let folder = |path: &str, mode| Entry {
        path: path.to_owned(),
        mode,
        bytes: &[],
    };
    let file = |path: &str, mode, bytes| Entry {
        path: path.to_owned(),
        mode,
        bytes,
    };
    let entries = [
        folder("etc/", 0o755),
        file("etc/group", 0o644, GROUP),
        file("etc/passwd", 0o644, PASSWD),
        folder("tmp/", 0o1777),
        folder("usr/", 0o755),
        folder("usr/bin/", 0o755),
        file("usr/bin/kerf-stage", 0o755, &program),
    ];
    Ok((architecture, layer(&entries).map_err(&fail)?))
}

/// The manifest, its signature, the self-test, and every file of the last part: each checked against its digest.
pub(super) fn model_layer(bundle: &Bundle) -> Result<Layer, CloudError> {
    bundle.verify_all()?;
    let manifest = bundle.manifest();
    let mut names = vec!["manifest.json".to_owned(), "manifest.sig".to_owned()];
    for artifact in manifest.parts.last().into_iter().flat_map(|part| &part.artifacts) {
        names.push(artifact.file.clone());
        names.extend(artifact.companions.iter().map(|c| c.file.clone()));
    }
    names.extend(manifest.self_test.iter().map(|test| test.file.clone()));
    names.sort();
    names.dedup();
    let mut files = Vec::new();
    for name in names {
        let path = bundle.dir().join(&name);
        match fs::read(&path) {
            Ok(bytes) => files.push((format!("bundle/{name}"), bytes)),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && name == "manifest.sig" => {}
            Err(why) => return Err(file_error(&path)(why)),
        }
    }
    let mut entries = vec![Entry {
        path: "bundle/".to_owned(),
        mode: 0o755,
        bytes: &[],
    }];
    entries.extend(files.iter().map(|(path, bytes)| Entry {
        path: path.clone(),
        mode: 0o644,
        bytes,
    }));
    layer(&entries).map_err(file_error(bundle.dir()))
}
