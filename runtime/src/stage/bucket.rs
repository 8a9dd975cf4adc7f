//! A stage that is fed from a bucket: each object under one prefix is answered by an object under another.
//!
//! Owns: which objects are answered, and the order of answer and removal. Must not know: S3, brokers, what calls it.
//! Start at [`Bucket::look`]. The answer is written first, and under the object's own name: killed between, the same answer
//! is written again. A notification only says when to look: what is there is listed, so a lost one costs time, no object.

use std::collections::HashSet;
use std::sync::Arc;

use super::resident::Resident;
use crate::exit::Failure;
use crate::metrics::Metrics;
use crate::object::{Folder, MAX_BODY_BYTES, ObjectError};

/// Ending of an answer's key, behind the object's own.
const ENDING: &str = ".json";

/// Which objects, and what becomes of them.
#[derive(Debug, Clone)]
pub struct BucketConfig {
    /// Objects under this prefix are inputs.
    pub input: String,
    /// Their answers go under this one.
    pub output: String,
    /// Leaves inputs where they are; what has an answer is not taken again.
    pub keep: bool,
}

/// Prefixes of which one holds the other: answers would become inputs.
#[derive(Debug, thiserror::Error)]
#[error("the prefixes of inputs {input:?} and answers {output:?} lie within each other")]
pub struct BadPrefixes {
    input: String,
    output: String,
}

/// The last part over a bucket.
pub struct Bucket {
    folder: Box<dyn Folder>,
    resident: Resident,
    metrics: Arc<Metrics>,
    config: BucketConfig,
}

impl Bucket {
    /// A stage over a bucket that is there.
    ///
    /// # Errors
    /// When the prefixes lie within each other.
    pub fn new(
        folder: Box<dyn Folder>,
        resident: Resident,
        metrics: Arc<Metrics>,
        config: BucketConfig,
    ) -> Result<Self, BadPrefixes> {
        let BucketConfig { input, output, .. } = config.clone();
        if input.starts_with(&output) || output.starts_with(&input) {
            return Err(BadPrefixes { input, output });
        }
        metrics.health.warn(resident.warnings());
        Ok(Self {
            folder,
            resident,
            metrics,
            config,
        })
    }

    /// Answers all that is there and has no answer; gives how many that were. The store's trouble shows in the health.
    ///
    /// # Errors
    /// When the store fails; what is left is there at the next look.
    pub fn look(&mut self) -> Result<u64, ObjectError> {
        let looked = self.answer_all();
        let trouble = looked
            .as_ref()
            .err()
            .map(|why| Failure::new(why.exit(), anyhow::anyhow!("{why}")));
        self.metrics.health.store(trouble);
        looked
    }

    fn answer_all(&mut self) -> Result<u64, ObjectError> {
        let answered = self.answered()?;
        let mut count = 0;
        for object in self.folder.list(&self.config.input)? {
            let Some(name) = object.key.strip_prefix(&self.config.input) else {
                continue;
            };
            // A folder of the store's own console is an object without a name.
            if name.is_empty() || name.ends_with('/') || answered.contains(name) {
                continue;
            }
            self.answer(&object.key, name)?;
            count += 1;
        }
        Ok(count)
    }

    /// Names that have an answer; nobody asks where inputs are removed.
    fn answered(&mut self) -> Result<HashSet<String>, ObjectError> {
        if !self.config.keep {
            return Ok(HashSet::new());
        }
        let answers = self.folder.list(&self.config.output)?;
        let name = |key: &str| {
            key.strip_prefix(&self.config.output)?
                .strip_suffix(ENDING)
                .map(str::to_owned)
        };
        Ok(answers.iter().filter_map(|answer| name(&answer.key)).collect())
    }

    fn answer(&mut self, key: &str, name: &str) -> Result<(), ObjectError> {
        let json = match self.folder.read(key, MAX_BODY_BYTES) {
            Ok(body) => self.document(name, &body),
            // Somebody else has taken it meanwhile.
            Err(ObjectError::Absent(_)) => return Ok(()),
            Err(why @ ObjectError::Longer { .. }) => self.refusal(name, &why),
            Err(why) => return Err(why),
        };
        self.folder
            .write(&format!("{}{name}{ENDING}", self.config.output), &json)?;
        if self.config.keep {
            return Ok(());
        }
        self.folder.delete(key)
    }

    fn document(&mut self, name: &str, body: &[u8]) -> Vec<u8> {
        let result = self.resident.bytes(name, body).map_err(|why| why.to_string());
        match result.and_then(|result| serde_json::to_vec(&result).map_err(|why| why.to_string())) {
            Ok(json) => {
                self.metrics.answered.add(1);
                log::debug!("event=object_done object={name:?}");
                json
            }
            Err(why) => self.refusal(name, &why),
        }
    }

    fn refusal(&mut self, name: &str, why: &dyn std::fmt::Display) -> Vec<u8> {
        self.metrics.refused.add(1);
        log::warn!("event=object_refused object={name:?} why={:?}", why.to_string());
        let document = serde_json::json!({ "object": name, "error": why.to_string() });
        document.to_string().into_bytes()
    }
}
