//! Large bodies in parts: a link that breaks costs one part and not all of it.
//!
//! Owns: the order begin, parts, complete, and giving up. Must not know: what a body is.
//! One PUT takes 5 GiB in S3, so nothing here is needed for size; but a frame of 256 MiB on a board's uplink takes
//! minutes, and a single request would begin anew at every break.

use rusty_s3::S3Action;

use super::{S3Store, SIGNED_FOR};
use crate::object::ObjectError;

/// Bodies above this go in parts, bytes.
pub(super) const SINGLE_BYTES: usize = 16 * 1024 * 1024;
/// One part, bytes; S3 wants 5 MiB at least.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Longest answer that is read, bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

impl S3Store {
    /// Puts a body in parts; what was begun and fails is given up at the store too.
    pub(super) fn put_parts(&self, key: &str, body: &[u8]) -> Result<(), ObjectError> {
        let upload = self.begin(key)?;
        let put = self.parts(key, &upload, body);
        if put.is_err() {
            let url = self
                .bucket
                .abort_multipart_upload(self.keys(), key, &upload)
                .sign(SIGNED_FOR);
            let gone = || ObjectError::Absent(key.to_owned());
            if let Err(why) = self.client.send(gone, |agent| agent.delete(url.as_str()).call()) {
                log::debug!("event=upload_left key={key} why={:?}", why.to_string());
            }
        }
        put
    }

    fn begin(&self, key: &str) -> Result<String, ObjectError> {
        let url = self.bucket.create_multipart_upload(self.keys(), key).sign(SIGNED_FOR);
        let answer = self
            .client
            .send(|| self.no_bucket(), |agent| agent.post(url.as_str()).send_empty())?;
        let text = self.text(answer)?;
        let upload = tagged(&text, "UploadId").filter(|id| !id.is_empty());
        let upload = upload.ok_or_else(|| self.client.unreachable("a multipart upload was begun without an id"))?;
        Ok(upload.to_owned())
    }

    fn parts(&self, key: &str, upload: &str, body: &[u8]) -> Result<(), ObjectError> {
        let lost = || self.client.unreachable("the store has forgotten the multipart upload");
        let mut etags = Vec::new();
        for (part, number) in body.chunks(PART_BYTES).zip(1_u16..) {
            let url = self
                .bucket
                .upload_part(self.keys(), key, number, upload)
                .sign(SIGNED_FOR);
            let answer = self.client.send(lost, |agent| agent.put(url.as_str()).send(part))?;
            let etag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
            let etag = etag.ok_or_else(|| self.client.unreachable(format!("part {number} has no ETag")))?;
            etags.push(etag.to_owned());
        }
        let complete = || {
            let etags = etags.iter().map(String::as_str);
            self.bucket.complete_multipart_upload(self.keys(), key, upload, etags)
        };
        let url = complete().sign(SIGNED_FOR);
        let list = complete().body();
        let answer = self
            .client
            .send(lost, |agent| agent.post(url.as_str()).send(list.as_bytes()))?;
        // S3 may say 200 first and the error in the body.
        let text = self.text(answer)?;
        match tagged(&text, "Code") {
            Some(_) => Err(self.client.unreachable("multipart upload not completed")),
            None => Ok(()),
        }
    }

    fn text(&self, answer: ureq::http::Response<ureq::Body>) -> Result<String, ObjectError> {
        let body = self.client.body(answer, MAX_ANSWER_BYTES)?.unwrap_or_default();
        String::from_utf8(body).map_err(|_| self.client.unreachable("its answer is no UTF-8"))
    }
}

/// What stands between a document's first `<name>` and its end. Stores differ in the elements around it: only this one is
/// looked at. Ids and codes hold nothing that XML escapes.
fn tagged<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}
