//! Objects by key: what a stage needs that is fed from a bucket.
//!
//! Owns: list, get, put and remove by key. Must not know: what objects hold.

use rusty_s3::S3Action;
use rusty_s3::actions::ListObjectsV2;

use super::multipart::SINGLE_BYTES;
use super::{S3Store, SIGNED_FOR};
use crate::object::{Entry, Folder, MAX_LISTED, ObjectError};

/// Longest page of a listing, bytes: 1,000 keys of 1,024 bytes, each escaped, with their properties.
const MAX_PAGE_BYTES: u64 = 8 * 1024 * 1024;

impl S3Store {
    pub(super) fn put_key(&self, key: &str, body: &[u8]) -> Result<(), ObjectError> {
        if body.len() > SINGLE_BYTES {
            return self.put_parts(key, body);
        }
        let url = self.bucket.put_object(self.keys(), key).sign(SIGNED_FOR);
        let answer = self
            .client
            .send(|| self.no_bucket(), |agent| agent.put(url.as_str()).send(body));
        answer.map(drop)
    }

    pub(super) fn remove_key(&self, key: &str) -> Result<(), ObjectError> {
        let url = self.bucket.delete_object(self.keys(), key).sign(SIGNED_FOR);
        let gone = || ObjectError::Absent(key.to_owned());
        match self.client.send(gone, |agent| agent.delete(url.as_str()).call()) {
            Err(ObjectError::Absent(_)) => Ok(()),
            other => other.map(drop),
        }
    }

    fn page(&self, prefix: &str, token: Option<&str>) -> Result<(Vec<Entry>, Option<String>), ObjectError> {
        let mut action = self.bucket.list_objects_v2(self.keys());
        action.with_prefix(prefix);
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        let url = action.sign(SIGNED_FOR);
        let answer = self
            .client
            .send(|| self.no_bucket(), |agent| agent.get(url.as_str()).call())?;
        let refuse = |why: String| self.client.unreachable(format!("its listing: {why}"));
        let body = self.client.body(answer, MAX_PAGE_BYTES)?;
        let body = body.ok_or_else(|| refuse(format!("more than {MAX_PAGE_BYTES} bytes")))?;
        let text = String::from_utf8(body).map_err(|_| refuse("no UTF-8".to_owned()))?;
        let page = ListObjectsV2::parse_response(&text).map_err(|why| refuse(why.to_string()))?;
        let entries = page.contents.into_iter().map(|object| Entry {
            key: object.key,
            bytes: object.size.unwrap_or(0),
        });
        Ok((entries.collect(), page.next_continuation_token))
    }
}

impl Folder for S3Store {
    fn list(&mut self, prefix: &str) -> Result<Vec<Entry>, ObjectError> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let (entries, next) = self.page(prefix, token.as_deref())?;
            listed.extend(entries);
            if next.is_none() || listed.len() >= MAX_LISTED {
                listed.truncate(MAX_LISTED);
                return Ok(listed);
            }
            token = next;
        }
    }

    fn read(&mut self, key: &str, limit: u64) -> Result<Vec<u8>, ObjectError> {
        let url = self.bucket.get_object(self.keys(), key).sign(SIGNED_FOR);
        let absent = || ObjectError::Absent(key.to_owned());
        let answer = self.client.send(absent, |agent| agent.get(url.as_str()).call())?;
        let body = self.client.body(answer, limit)?;
        body.ok_or_else(|| ObjectError::Longer {
            key: key.to_owned(),
            limit,
        })
    }

    fn write(&mut self, key: &str, body: &[u8]) -> Result<(), ObjectError> {
        self.put_key(key, body)
    }

    fn delete(&mut self, key: &str) -> Result<(), ObjectError> {
        self.remove_key(key)
    }
}
