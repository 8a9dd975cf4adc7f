//! What is wrong with a running stage now: the same codes that it would have ended with at its start.
//!
//! Owns: the troubles of one stage, by what they are about. Must not know: who asks, how they are told.
//! A running stage never ends on these; whoever looks after it reads them here, in its log, and on its status topic.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::broker::Probe;
use crate::exit::{Exit, Failure};

/// Something that does not work now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `broker`, `spool` or `store`.
    pub about: &'static str,
    /// The exit code that it would have had at the start.
    pub code: u8,
    /// The cause.
    pub why: String,
}

/// What one stage knows of its own health.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    broker: Option<Probe>,
    spool: Option<Trouble>,
    store: Option<Trouble>,
    warnings: Vec<String>,
}

impl Health {
    /// The broker's connection, which is asked whenever somebody asks here.
    pub fn watch(&self, broker: Probe) {
        self.lock().broker = Some(broker);
    }

    /// What a person should know of how this stage was loaded.
    pub fn warn(&self, warnings: &[String]) {
        self.lock().warnings = warnings.to_vec();
    }

    /// The spool takes frames again, or it does not.
    pub fn spool(&self, trouble: Option<(Exit, String)>) {
        self.lock().spool = trouble.map(|(exit, why)| of("spool", exit, why));
    }

    /// The object store works again, or it does not.
    pub fn store(&self, trouble: Option<Failure>) {
        self.lock().store = trouble.map(|failure| of("store", failure.exit, failure.to_string()));
    }

    /// All that does not work now.
    pub fn troubles(&self) -> Vec<Trouble> {
        let state = self.lock();
        let broker = state.broker.as_ref().and_then(|broker| broker.ask().err());
        let broker = broker.map(Failure::from);
        let broker = broker.map(|failure| of("broker", failure.exit, failure.to_string()));
        let (spool, store) = (state.spool.clone(), state.store.clone());
        [broker, spool, store].into_iter().flatten().collect()
    }

    /// The troubles and warnings as a document; the first has the word `ready` where there is no trouble.
    pub fn document(&self) -> serde_json::Value {
        let troubles = self.troubles();
        let warnings = self.lock().warnings.clone();
        serde_json::json!({ "ready": troubles.is_empty(), "troubles": troubles, "warnings": warnings })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(about: &'static str, exit: Exit, why: String) -> Trouble {
    let code = exit as u8;
    Trouble { about, code, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::BrokerError;

    #[test]
    fn troubles_come_and_go_by_what_they_are_about() {
        let health = Health::default();
        assert_eq!(health.document()["ready"], true);
        health.spool(Some((Exit::DiskFull, "no room".to_owned())));
        health.watch(Probe::new(|| {
            Err(BrokerError::Unauthorised {
                broker: "b".to_owned(),
                why: "refused".to_owned(),
            })
        }));
        let codes: Vec<u8> = health.troubles().iter().map(|trouble| trouble.code).collect();
        assert_eq!(codes, [41, 50]);
        health.spool(None);
        health.watch(Probe::new(|| Ok(())));
        assert!(health.troubles().is_empty());
    }
}
