//! Which bundles a stage takes: signed by whom, and not older than what already ran.
//!
//! Owns: the folder of public keys, the rollback floor. Must not know: how a signature is computed.
//! Nothing unsigned, wrongly signed or older than the floor is taken, and no file but the manifest is read before that is
//! settled. Only [`Trust::allow_unsigned`] (the desk) takes anything, and every start says so.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::signature::{self, MAX_KEY_BYTES, PublicKey, SIGNATURE_ENDING};
use super::{Bundle, BundleError, MANIFEST, manifest_path, read_bounded};

/// Most keys of one folder.
pub(super) const MAX_KEYS: usize = 64;

/// What a stage trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Folder of `*.pub` files; without it no bundle is taken, unless unsigned ones are allowed.
    pub keys: Option<PathBuf>,
    /// File with the lowest release that is taken; rises with [`Trust::raise`].
    pub floor: Option<PathBuf>,
    /// Takes any bundle, in spite of `keys` and `floor`.
    pub allow_unsigned: bool,
}

impl Trust {
    /// Opens a bundle that this stage may run.
    ///
    /// # Errors
    /// When it is damaged, or not signed by one of the keys, or older than the floor; when there are no keys.
    pub fn open(&self, dir: &Path) -> Result<Bundle, BundleError> {
        let (bundle, manifest) = Bundle::open_with_bytes(dir)?;
        if self.allow_unsigned {
            log::warn!(
                "event=unsigned bundle={} promise=\"anyone who can write {} decides what runs here\"",
                bundle.id(),
                dir.display()
            );
            return Ok(bundle);
        }
        let keys = match &self.keys {
            Some(keys) => read_keys(keys)?,
            None => return Err(BundleError::NoKeys { path: dir.to_owned() }),
        };
        let path = manifest_path(dir).with_extension(SIGNATURE_ENDING);
        if !path.exists() {
            return Err(BundleError::Unsigned { path });
        }
        let text = read_text(&path)?;
        let key = signature::verify(&manifest, &text, &keys).map_err(|why| BundleError::Signature { path, why })?;
        log::info!("event=signed bundle={} key={key}", bundle.id());
        self.check_floor(&bundle)?;
        Ok(bundle)
    }

    /// The lowest release that is taken.
    ///
    /// # Errors
    /// When the file is there but has no number: a floor that is lost is not a floor of 0.
    pub fn floor(&self) -> Result<u64, BundleError> {
        let Some(path) = &self.floor else {
            return Ok(0);
        };
        // A floor that may not be looked at is not a floor of 0 either.
        let there = path.try_exists().map_err(|why| BundleError::Unreadable {
            path: path.clone(),
            why,
        })?;
        if !there {
            return Ok(0);
        }
        let text = read_text(path)?;
        text.trim()
            .parse()
            .map_err(|_| BundleError::Floor { path: path.clone() })
    }

    fn check_floor(&self, bundle: &Bundle) -> Result<(), BundleError> {
        let (got, floor) = (bundle.manifest().release, self.floor()?);
        if got < floor {
            let path = bundle.dir().join(MANIFEST);
            return Err(BundleError::TooOld { path, got, floor });
        }
        Ok(())
    }

    /// Raises the floor to a bundle's release, after it was checked and its self-test has passed. Never lowers it.
    ///
    /// # Errors
    /// When the file cannot be written; the old floor then stands.
    pub fn raise(&self, bundle: &Bundle) -> Result<(), BundleError> {
        let Some(path) = self
            .floor
            .as_ref()
            .filter(|_| self.keys.is_some() && !self.allow_unsigned)
        else {
            return Ok(());
        };
        let release = bundle.manifest().release;
        if release <= self.floor()? {
            return Ok(());
        }
        let unwritable = |why| BundleError::Unreadable {
            path: path.clone(),
            why,
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
        file.write_all(format!("{release}\n").as_bytes()).map_err(unwritable)?;
        file.as_file().sync_all().map_err(unwritable)?;
        file.persist(path).map_err(|failed| unwritable(failed.error))?;
        // The rename itself survives a power cut only once the folder is synced.
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(unwritable)?;
        log::info!("event=floor_raised release={release}");
        Ok(())
    }
}

fn read_text(path: &Path) -> Result<String, BundleError> {
    let bytes = read_bounded(path, MAX_KEY_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The public keys of a folder; a file that is no key is an error, so that a mistake does not go unseen.
fn read_keys(folder: &Path) -> Result<Vec<PublicKey>, BundleError> {
    let unreadable = |why| BundleError::Unreadable {
        path: folder.to_owned(),
        why,
    };
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|kind| kind != "pub") {
            continue;
        }
        let key = PublicKey::parse(&read_text(&path)?).map_err(|why| BundleError::Signature { path, why })?;
        keys.push(key);
        if keys.len() > MAX_KEYS {
            return Err(BundleError::TooManyKeys {
                path: folder.to_owned(),
            });
        }
    }
    Ok(keys)
}
