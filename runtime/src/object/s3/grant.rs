//! A grant: what a board needs to put frames into a bucket without keys.
//!
//! Owns: the grant's file, and which of its places is free. Must not know: who carries it to the board.
//! Start at [`S3Store::grant`], which needs keys, then [`GrantedStore`], which needs none.
//!
//! A grant is a number of places under `frames/DEVICE/`, each with an address to write it and one to read it, both signed
//! (AWS Signature Version 4, query form). It holds no key, speaks for one device, reaches nothing else in the bucket, and ends
//! by itself. Places are used in turn: the digest in the reference, and not the name, says what a reader must find there.
//! Names by digest would need an address for each frame; a policy for a prefix (S3's POST form) is not known to all stores.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use kerf_wire::limits::MAX_LOCATION_BYTES;
use kerf_wire::{DeviceId, Digest};
use rusty_s3::S3Action;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::{BadStore, S3Config, S3Store};
use crate::bundle::read_bounded;
use crate::object::{ObjectError, ObjectStore};

/// Longest life of a grant, hours: S3 takes no signature for more than a week.
pub const MAX_GRANT_HOURS: u32 = 7 * 24;
/// Most places of a grant. A head has 8 MiB on their way: of frames that are over 96 KiB, 86.
pub const MAX_PLACES: u16 = 256;
/// Longest grant file, bytes.
const MAX_GRANT_BYTES: u64 = 2 * 1024 * 1024;
const VERSION: u8 = 1;
/// After a refusal the store is asked again no sooner, unless the file has changed.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// What one device may write, and until when.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    version: u8,
    /// For whom.
    pub device: String,
    /// The store's endpoint.
    pub store: String,
    /// The bucket.
    pub bucket: String,
    /// When it was signed, as in the signatures: `YYYYMMDDTHHMMSSZ`.
    pub granted: String,
    /// For how long, s.
    pub valid_s: u64,
    places: Vec<Place>,
}

/// One place for a frame.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    put: String,
    get: String,
}

impl std::fmt::Debug for Grant {
    /// Without the signed addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grant({}, {} places)", self.device, self.places.len())
    }
}

impl S3Store {
    /// A grant for this device, signed with our keys; nothing is sent. None without keys.
    pub fn grant(&self, device: &DeviceId, places: u16, valid: Duration) -> Option<Grant> {
        let keys = self.keys()?;
        let place = |number: u16| {
            let key = format!("frames/{device}/{number}");
            let put = self.bucket.put_object(Some(keys), &key).sign(valid);
            let get = self.bucket.get_object(Some(keys), &key).sign(valid);
            Place {
                put: put.to_string(),
                get: get.to_string(),
            }
        };
        let places: Vec<Place> = (0..places).map(place).collect();
        let signed = places.first().and_then(|place| place.put.split_once("X-Amz-Date="));
        let granted = signed.map(|(_, rest)| rest.chars().take_while(|c| *c != '&').collect());
        Some(Grant {
            version: VERSION,
            device: device.to_string(),
            store: self.endpoint.clone(),
            bucket: self.bucket.name().to_owned(),
            granted: granted.unwrap_or_default(),
            valid_s: valid.as_secs(),
            places,
        })
    }
}

/// A bucket of which one device may write its own places.
pub struct GrantedStore {
    client: Client,
    file: PathBuf,
    changed: Option<SystemTime>,
    grant: Grant,
    taken: HashMap<Digest, usize>,
    /// Given back longest ago first: an old reference then finds its frame as long as can be.
    free: VecDeque<usize>,
    refused: Option<(Instant, String)>,
}

impl GrantedStore {
    /// A store by the grant in this file, for this device. `ca`: certificate authorities, PEM.
    ///
    /// # Errors
    /// When the file is no grant, or for another device, or its store's address cannot work.
    pub fn open(file: &Path, device: &DeviceId, ca: Option<Vec<u8>>, patience: Duration) -> Result<Self, BadStore> {
        let changed = changed(file);
        let grant = read(file, device)?;
        let config = S3Config {
            endpoint: grant.store.clone(),
            bucket: grant.bucket.clone(),
            region: String::new(),
            virtual_host: false,
            keys: None,
            ca,
            presign: None,
            patience,
        };
        let bad = |why: String| BadStore {
            endpoint: grant.store.clone(),
            why,
        };
        let name = format!("{}/{}", grant.store, grant.bucket);
        Ok(Self {
            client: Client::new(&config, name).map_err(bad)?,
            file: file.to_owned(),
            changed,
            free: (0..grant.places.len()).collect(),
            grant,
            taken: HashMap::new(),
            refused: None,
        })
    }

    /// Writes an empty object, to see whether the grant holds.
    ///
    /// # Errors
    /// When the store is not reachable, or the grant does not hold.
    pub fn check(&mut self) -> Result<(), ObjectError> {
        self.write(0, &[])
    }

    fn write(&mut self, place: usize, body: &[u8]) -> Result<(), ObjectError> {
        let Some(place) = self.grant.places.get(place) else {
            return Err(self.client.unreachable("its grant has no such place"));
        };
        let gone = || self.client.unreachable("no such bucket");
        match self.client.send(gone, |agent| agent.put(&place.put).send(body)) {
            Ok(_) => {
                self.refused = None;
                Ok(())
            }
            Err(ObjectError::Unauthorised { store, why }) => {
                let Grant {
                    granted,
                    valid_s,
                    device,
                    ..
                } = &self.grant;
                let why = format!(
                    "{why}: the grant for {device} in {}, signed {granted} for {valid_s} s, is over or taken back; make a \
                     new one with kerf-stage grant and put it there",
                    self.file.display()
                );
                self.refused = Some((Instant::now(), why.clone()));
                Err(ObjectError::Unauthorised { store, why })
            }
            Err(why) => Err(why),
        }
    }

    /// Takes a new grant up where its file has changed; true where it has.
    fn renew(&mut self) -> bool {
        let changed = changed(&self.file);
        if changed == self.changed {
            return false;
        }
        self.changed = changed;
        let device = DeviceId::new(&self.grant.device).map_err(|why| why.to_string());
        match device.and_then(|device| read(&self.file, &device).map_err(|why| why.to_string())) {
            Ok(grant) if grant.store == self.grant.store && grant.bucket == self.grant.bucket => {
                log::info!(
                    "event=grant_renewed granted={} valid_s={}",
                    grant.granted,
                    grant.valid_s
                );
                self.grant = grant;
                self.taken.retain(|_, place| *place < self.grant.places.len());
                let taken: Vec<usize> = self.taken.values().copied().collect();
                self.free = (0..self.grant.places.len())
                    .filter(|place| !taken.contains(place))
                    .collect();
                true
            }
            Ok(_) => {
                log::warn!("event=grant_not_taken why=\"it is for another store: start this stage anew\"");
                false
            }
            Err(why) => {
                log::warn!("event=grant_not_taken why={why:?}");
                false
            }
        }
    }
}

impl ObjectStore for GrantedStore {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        if self.refused.is_some() && self.renew() {
            self.refused = None;
        }
        if let Some((_, why)) = self.refused.as_ref().filter(|(at, _)| at.elapsed() < REFUSED_WAIT) {
            return Err(ObjectError::Unauthorised {
                store: self.client.name().to_owned(),
                why: why.clone(),
            });
        }
        let place = if let Some(place) = self.taken.get(digest) {
            *place
        } else {
            let place = self.free.pop_front();
            let place = place.ok_or_else(|| {
                let places = self.grant.places.len();
                self.client
                    .unreachable(format!("all {places} places of its grant wait for receipts"))
            })?;
            self.taken.insert(*digest, place);
            place
        };
        if let Err(why) = self.write(place, body) {
            self.remove(digest)?;
            return Err(why);
        }
        Ok(self
            .grant
            .places
            .get(place)
            .map(|place| place.get.clone())
            .unwrap_or_default())
    }

    fn fetch(&mut self, _digest: &Digest, _bytes: u64, _location: &str) -> Result<Vec<u8>, ObjectError> {
        Err(ObjectError::Unauthorised {
            store: self.client.name().to_owned(),
            why: "a grant is for a device that writes; a stage that reads frames takes --store".to_owned(),
        })
    }

    /// The place is free for another frame, which is written over it.
    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
        self.free.extend(self.taken.remove(digest));
        Ok(())
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|data| data.modified()).ok()
}

fn read(file: &Path, device: &DeviceId) -> Result<Grant, BadStore> {
    let bad = |why: String| BadStore {
        endpoint: format!("of grant {}", file.display()),
        why,
    };
    let bytes = read_bounded(file, MAX_GRANT_BYTES).map_err(|why| bad(why.to_string()))?;
    // serde's text may repeat what it read; a signed address is a secret.
    let grant: Grant = serde_json::from_slice(&bytes)
        .map_err(|why| bad(format!("no grant of ours, line {} column {}", why.line(), why.column())))?;
    if grant.version != VERSION {
        return Err(bad(format!("expected grant version {VERSION}, got {}", grant.version)));
    }
    if grant.device != device.as_str() {
        return Err(bad(format!(
            "it is for device {:?}, this one is {device}",
            grant.device
        )));
    }
    let fits = |place: &Place| place.get.len() <= MAX_LOCATION_BYTES;
    let count = grant.places.len();
    if count == 0 || count > usize::from(MAX_PLACES) || !grant.places.iter().all(fits) {
        return Err(bad(format!(
            "expected 1 to {MAX_PLACES} places with addresses of up to {MAX_LOCATION_BYTES} bytes, got {count} places"
        )));
    }
    Ok(grant)
}
