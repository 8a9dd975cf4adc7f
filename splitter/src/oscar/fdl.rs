//! FDL, the YAML in which OSCAR's users describe services.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use super::credentials::read_text;
use super::{OscarError, Service};

#[derive(Debug, Deserialize)]
struct Document {
    functions: Functions,
    /// Providers that all services of the file share.
    #[serde(default)]
    storage_providers: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Functions {
    oscar: Vec<BTreeMap<String, Service>>,
}

/// Reads the services of a file, each with its script's text in place of the script's file name.
///
/// # Errors
/// When the file is no FDL, or a script that it names cannot be read.
pub fn read(file: &Path) -> Result<Vec<Service>, OscarError> {
    let refused = |why: String| OscarError::File {
        file: file.display().to_string(),
        why,
    };
    let text = read_text(file)?;
    let documents = YamlLoader::load_from_str(&text).map_err(|why| refused(format!("no YAML: {why}")))?;
    let [document] = documents.as_slice() else {
        return Err(refused(format!("expected one YAML document, got {}", documents.len())));
    };
    let document = json(document, 0).map_err(|why| refused(why.to_owned()))?;
    let document: Document = serde_json::from_value(document).map_err(|why| {
        refused(format!(
            "no FDL (functions: oscar: - CLUSTER: SERVICE): {}",
            redacted(&why.to_string())
        ))
    })?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut services = Vec::new();
    for (cluster, mut service) in document.functions.oscar.into_iter().flatten() {
        if !service.script.is_empty() && !service.script.contains('\n') {
            service.script = read_text(&folder.join(&service.script))?;
        }
        if let Some(providers) = &document.storage_providers {
            let shared = || providers.clone();
            service.rest.entry("storage_providers").or_insert_with(shared);
        }
        service.rest.entry("cluster_id").or_insert(cluster.into());
        services.push(service);
    }
    if services.is_empty() {
        return Err(refused("it names no service".to_owned()));
    }
    Ok(services)
}

/// Without the values that serde repeats: an FDL may hold secrets.
fn redacted(text: &str) -> String {
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (text.get(..first), text.get(last + 1..));
            format!("{}…{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

/// Deepest nesting of a service's description.
const MAX_DEPTH: usize = 32;

fn json(yaml: &Yaml, depth: usize) -> Result<Value, &'static str> {
    if depth > MAX_DEPTH {
        return Err("nested too deeply for a service");
    }
    Ok(match yaml {
        Yaml::Real(text) => text.parse::<f64>().map_or(Value::String(text.clone()), Value::from),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::String(text) => Value::String(text.clone()),
        Yaml::Boolean(truth) => Value::Bool(*truth),
        Yaml::Array(items) => Value::Array(items.iter().map(|i| json(i, depth + 1)).collect::<Result<_, _>>()?),
        Yaml::Hash(pairs) => {
            let mut object = Map::new();
            for (key, value) in pairs {
                let key = key.as_str().ok_or("a key is no text")?;
                object.insert(key.to_owned(), json(value, depth + 1)?);
            }
            Value::Object(object)
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => return Err("an alias leads nowhere"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn the_script_is_inlined_and_a_cpu_number_becomes_text() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script.sh"), "#!/bin/sh\necho hello\n").unwrap();
        let text = "functions:\n  oscar:\n  - my-cluster:\n      name: tail\n      image: a/b\n      cpu: 1.5\n      \
                    script: script.sh\n      visibility: private\n      input: [{path: tail/in}]\n\
                    storage_providers:\n  s3: {}\n";
        let file = folder.path().join("tail.yaml");
        std::fs::write(&file, text).unwrap();
        let services = read(&file).unwrap();
        let tail = services.first().unwrap();
        assert_eq!(tail.cpu, "1.5");
        assert_eq!(tail.script, "#!/bin/sh\necho hello\n");
        assert_eq!(tail.input.first().unwrap().bucket_and_folder(), ("tail", "in"));
        assert_eq!(tail.rest.get("visibility").unwrap(), "private");
        assert_eq!(tail.rest.get("cluster_id").unwrap(), "my-cluster");
        assert!(tail.rest.contains_key("storage_providers"));
        std::fs::remove_file(folder.path().join("script.sh")).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("script.sh"));
    }
}
