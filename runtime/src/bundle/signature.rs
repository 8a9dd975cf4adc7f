//! Signatures over a manifest: Ed25519 (RFC 8032), keys as one line of text, `manifest.sig` beside the manifest.
//!
//! Owns: what is signed, how keys and signatures look, whether one is right.
//! Must not know: where keys are kept, what the manifest says.
//! The manifest names every file of its bundle by SHA-256, so a signature over it covers them all.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// A signature lies beside its manifest under the same name with this ending: `manifest.sig`.
pub const SIGNATURE_ENDING: &str = "sig";
/// Longest key or signature file, bytes.
pub const MAX_KEY_BYTES: u64 = 4096;

/// Goes before the manifest's bytes, so that no other kind of signed document can pass for a manifest.
const CONTEXT: &[u8] = b"kerf manifest v1\0";
/// The same before any other file, e.g. a release's checksums.
const FILE_CONTEXT: &[u8] = b"kerf file v1\0";
const SECRET_WORD: &str = "kerf-ed25519-secret";
const PUBLIC_WORD: &str = "kerf-ed25519-public";
const SIGNATURE_WORD: &str = "kerf-ed25519-signature";

/// The key that signs. Its text never reaches a log: it has no `Debug` of its contents.
pub struct SecretKey(SigningKey);

/// The key that boards hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SecretKey {
    /// A key from 32 bytes of the system's random numbers.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// Reads `kerf-ed25519-secret HEX`.
    ///
    /// # Errors
    /// When the text is no secret key.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        Ok(Self(SigningKey::from_bytes(&field(text, SECRET_WORD)?)))
    }

    /// As it is kept in a file that only its owner reads.
    pub fn to_text(&self) -> String {
        format!("{SECRET_WORD} {}\n", hex::encode(self.0.to_bytes()))
    }

    /// The key that belongs to it.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The text of `manifest.sig`.
    pub fn sign(&self, manifest: &[u8]) -> String {
        self.sign_in(CONTEXT, manifest)
    }

    /// The text of a signature over any other file; it never passes for one over a manifest.
    pub fn sign_file(&self, contents: &[u8]) -> String {
        self.sign_in(FILE_CONTEXT, contents)
    }

    fn sign_in(&self, context: &[u8], contents: &[u8]) -> String {
        let signature = self.0.sign(&[context, contents].concat());
        format!(
            "{SIGNATURE_WORD} {} {}\n",
            self.public(),
            hex::encode(signature.to_bytes())
        )
    }
}

impl PublicKey {
    /// Reads `kerf-ed25519-public HEX`, with a comment behind it or not.
    ///
    /// # Errors
    /// When the text is no public key, or a weak one, for which anyone can make signatures.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let key =
            VerifyingKey::from_bytes(&field(text, PUBLIC_WORD)?).map_err(|_| SignatureError::BadKey(PUBLIC_WORD))?;
        if key.is_weak() {
            return Err(SignatureError::BadKey(PUBLIC_WORD));
        }
        Ok(Self(key))
    }

    /// As it is kept in a file, with a comment.
    pub fn to_text(&self, comment: &str) -> String {
        format!("{PUBLIC_WORD} {self} {comment}\n")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.to_bytes()))
    }
}

/// Whether one of `keys` signed this manifest; gives the one that did.
///
/// # Errors
/// When the text is no signature, is of a key that is not among them, or does not fit the manifest.
pub fn verify(manifest: &[u8], text: &str, keys: &[PublicKey]) -> Result<PublicKey, SignatureError> {
    verify_in(CONTEXT, manifest, text, keys)
}

/// Whether one of `keys` signed this file, which is no manifest; gives the one that did.
///
/// # Errors
/// As [`verify`].
pub fn verify_file(contents: &[u8], text: &str, keys: &[PublicKey]) -> Result<PublicKey, SignatureError> {
    verify_in(FILE_CONTEXT, contents, text, keys)
}

fn verify_in(context: &[u8], contents: &[u8], text: &str, keys: &[PublicKey]) -> Result<PublicKey, SignatureError> {
    let mut words = text.split_whitespace();
    let (word, signer, signature) = (words.next(), words.next(), words.next());
    if word != Some(SIGNATURE_WORD) || words.next().is_some() {
        return Err(SignatureError::NoSignature);
    }
    let signer = signer.ok_or(SignatureError::NoSignature)?;
    let mut bytes = [0_u8; 64];
    hex::decode_to_slice(signature.unwrap_or_default(), &mut bytes).map_err(|_| SignatureError::NoSignature)?;
    let key = keys.iter().find(|key| key.to_string() == signer);
    let key = key.ok_or_else(|| SignatureError::UnknownKey(signer.chars().take(64).collect()))?;
    let message = [context, contents].concat();
    let valid = key.0.verify_strict(&message, &Signature::from_bytes(&bytes));
    valid.map_err(|_| SignatureError::Wrong(Box::new(*key)))?;
    Ok(*key)
}

fn field(text: &str, expected: &'static str) -> Result<[u8; 32], SignatureError> {
    let mut words = text.split_whitespace();
    let mut bytes = [0_u8; 32];
    let word = words.next();
    let decoded = hex::decode_to_slice(words.next().unwrap_or_default(), &mut bytes);
    match (word, decoded) {
        (Some(word), Ok(())) if word == expected => Ok(bytes),
        _ => Err(SignatureError::BadKey(expected)),
    }
}

/// Why a key or a signature is not right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The text is no key of the expected kind.
    #[error("expected a line \"{0} HEX\" with 64 hexadecimal digits of a sound key")]
    BadKey(&'static str),
    /// `manifest.sig` has another form.
    #[error("no signature: expected \"{SIGNATURE_WORD} KEY SIGNATURE\"")]
    NoSignature,
    /// Signed by someone whom this board does not trust.
    #[error("signed with key {0}, which is not among the keys of this stage")]
    UnknownKey(String),
    /// Signed by someone whom this board trusts, but these are other bytes.
    #[error("the signature of key {0} is not one of these bytes")]
    Wrong(Box<PublicKey>),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn keys_survive_their_text_and_every_flipped_bit_is_refused() {
        let secret = SecretKey::parse(&SecretKey::from_random(&[7; 32]).to_text()).unwrap();
        let public = PublicKey::parse(&secret.public().to_text("desk")).unwrap();
        let manifest = br#"{"format": 1}"#;
        let text = secret.sign(manifest);
        assert_eq!(verify(manifest, &text, &[public]).unwrap(), public);
        for bit in 0..manifest.len() * 8 {
            let mut other = manifest.to_vec();
            *other.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            assert!(matches!(
                verify(&other, &text, &[public]),
                Err(SignatureError::Wrong(_))
            ));
        }
        for cut in 0..text.trim_end().len() {
            assert!(verify(manifest, text.get(..cut).unwrap(), &[public]).is_err());
        }
    }

    #[test]
    fn another_key_and_a_weak_key_are_refused() {
        let (ours, theirs) = (SecretKey::from_random(&[1; 32]), SecretKey::from_random(&[2; 32]));
        let text = theirs.sign(b"{}");
        assert!(matches!(
            verify(b"{}", &text, &[ours.public()]),
            Err(SignatureError::UnknownKey(_))
        ));
        assert!(matches!(verify(b"{}", &text, &[]), Err(SignatureError::UnknownKey(_))));
        // The identity of the curve (RFC 8032 section 5.1: y = 1): signatures for it can be made without a secret.
        let weak = format!("kerf-ed25519-public 01{}", "00".repeat(31));
        assert!(matches!(PublicKey::parse(&weak), Err(SignatureError::BadKey(_))));
    }
}
