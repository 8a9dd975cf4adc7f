//! Who we are to OSCAR: from a file or the environment, never from the command line, where every user of the machine
//! could read it.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::{MAX_FILE_BYTES, OscarError};

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for a request's header only.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How we sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// HTTP Basic: the cluster's own users.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// `Authorization: Bearer`: an OIDC access token.
    Bearer(Secret),
}

/// A credentials file: TOML.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    endpoint: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,
}

impl Credentials {
    /// Reads a credentials file where one is named, and fills what it leaves open from `variable` (`KERF_OSCAR_ENDPOINT`,
    /// `…_USER`, `…_PASSWORD`, `…_TOKEN`). Gives the endpoint, where one is named, and the credentials.
    ///
    /// # Errors
    /// When the file cannot be used, or there is neither a token nor a user with a password, or both.
    pub fn find(
        file: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Option<String>, Self), OscarError> {
        let document = file.map(read).transpose()?.unwrap_or_default();
        let secret = |name| variable(name).map(Secret::new);
        let endpoint = document.endpoint.or_else(|| variable("KERF_OSCAR_ENDPOINT"));
        let user = document.user.or_else(|| variable("KERF_OSCAR_USER"));
        let password = document.password.or_else(|| secret("KERF_OSCAR_PASSWORD"));
        let token = document.token.or_else(|| secret("KERF_OSCAR_TOKEN"));
        let credentials = match (user, password, token) {
            (Some(user), Some(password), None) => Self::Basic { user, password },
            (None, None, Some(token)) => Self::Bearer(token),
            (None, None, None) => {
                return Err(OscarError::Setting(
                    "no credentials: name a file with --credentials, or set KERF_OSCAR_USER and KERF_OSCAR_PASSWORD, or \
                     KERF_OSCAR_TOKEN"
                        .to_owned(),
                ));
            }
            _ => {
                return Err(OscarError::Setting(
                    "credentials are either user and password, or a token: not a part or a mixture of them".to_owned(),
                ));
            }
        };
        Ok((endpoint, credentials))
    }
}

/// Reads a small text file.
pub(super) fn read_text(file: &Path) -> Result<String, OscarError> {
    let refused = |why: String| OscarError::File {
        file: file.display().to_string(),
        why,
    };
    let length = std::fs::metadata(file).map_err(|why| refused(why.to_string()))?.len();
    if length > MAX_FILE_BYTES {
        return Err(refused(format!(
            "{length} bytes are over the limit of {MAX_FILE_BYTES}"
        )));
    }
    std::fs::read_to_string(file).map_err(|why| refused(why.to_string()))
}

fn read(file: &Path) -> Result<Document, OscarError> {
    warn_if_open(file);
    toml::from_str(&read_text(file)?).map_err(|why| OscarError::File {
        file: file.display().to_string(),
        // Without the line itself, which may hold the secret.
        why: format!("no credentials file: {}", why.message()),
    })
}

#[cfg(unix)]
fn warn_if_open(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let open = std::fs::metadata(file).is_ok_and(|m| m.permissions().mode() & 0o077 != 0);
    if open {
        log::warn!("{} can be read by others: chmod 600 it", file.display());
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<(Option<String>, Credentials), OscarError> {
        let find = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Credentials::find(None, &find)
    }

    #[test]
    fn user_and_password_or_a_token_but_no_mixture() {
        let (endpoint, token) = from(&[("KERF_OSCAR_TOKEN", "t"), ("KERF_OSCAR_ENDPOINT", "https://o")]).unwrap();
        assert_eq!(endpoint.as_deref(), Some("https://o"));
        assert_eq!(token, Credentials::Bearer(Secret::new("t")));
        assert!(from(&[]).unwrap_err().to_string().contains("--credentials"));
        assert!(from(&[("KERF_OSCAR_USER", "u")]).is_err());
        assert!(from(&[("KERF_OSCAR_USER", "u"), ("KERF_OSCAR_TOKEN", "t")]).is_err());
    }

    #[test]
    fn no_secret_is_printed() {
        let (_, credentials) = from(&[("KERF_OSCAR_USER", "u"), ("KERF_OSCAR_PASSWORD", "hunter2")]).unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn a_wrong_file_is_refused_without_its_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "password = hunter2").unwrap();
        let why = Credentials::find(Some(file.path()), &|_| None).unwrap_err().to_string();
        assert!(!why.contains("hunter2"), "{why}");
    }
}
