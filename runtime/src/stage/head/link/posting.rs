//! Frames on their way into envelopes, on a thread of its own: a store that is slow or silent holds up its own frames, and
//! neither receipts nor the frames that travel inline.
//!
//! Owns: what waits for that thread. Must not know: when a frame is due, brokers.
//! Start at [`Posting::wrap`], which never waits, and [`Clerk::serve`], which is the thread.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use bytes::Bytes;
use kerf_wire::FrameId;

use crate::broker::Waker;
use crate::stage::envelope::{EnvelopeError, Envelopes};

/// Frames that wait for the store and answered ones whose objects wait to be removed: some windows full. What is over this is
/// asked for again later, or left to the store's lifecycle rule.
const MAX_JOBS: usize = 1024;

/// What the thread is asked for.
enum Job {
    Wrap(FrameId, Bytes),
    Discard(Bytes),
}

/// A frame's envelope, or why there is none.
type Wrapped = Result<Bytes, EnvelopeError>;

/// The end that asks.
pub(in crate::stage::head) struct Posting {
    inline_bytes: usize,
    jobs: SyncSender<Job>,
    done: Receiver<(u64, Wrapped)>,
    /// Asked for and not yet given.
    asked: HashSet<u64>,
    ready: HashMap<u64, Wrapped>,
}

/// The end that does it.
pub(in crate::stage::head) struct Clerk {
    envelopes: Envelopes,
    jobs: Receiver<Job>,
    done: Sender<(u64, Wrapped)>,
    waker: Waker,
}

/// Both ends; `waker` ends the wait of whoever asks when an envelope is there.
pub(in crate::stage::head) fn posting(envelopes: Envelopes, waker: Waker) -> (Posting, Clerk) {
    let (ask, jobs) = sync_channel(MAX_JOBS);
    let (give, done) = channel();
    let posting = Posting {
        inline_bytes: envelopes.inline_bytes(),
        jobs: ask,
        done,
        asked: HashSet::new(),
        ready: HashMap::new(),
    };
    let clerk = Clerk {
        envelopes,
        jobs,
        done: give,
        waker,
    };
    (posting, clerk)
}

impl Clerk {
    /// Works until nobody asks any more and all that was asked is done.
    pub(in crate::stage::head) fn serve(mut self) {
        for job in self.jobs {
            match job {
                Job::Wrap(id, frame) => {
                    let wrapped = self.envelopes.wrap(&id, &frame);
                    // Nobody may ask any more; what is to be discarded still is.
                    let _given = self.done.send((id.sequence, wrapped));
                    self.waker.wake();
                }
                Job::Discard(frame) => {
                    if let Err(why) = self.envelopes.discard(&frame) {
                        log::warn!("event=object_left why={:?}", why.to_string());
                    }
                }
            }
        }
    }
}

impl Posting {
    /// The frame's envelope, where it is there; else it is on its way, and [`Posting::finished`] will tell.
    pub(super) fn wrap(&mut self, id: &FrameId, frame: &Bytes) -> Option<Wrapped> {
        if frame.len() <= self.inline_bytes {
            return Some(Ok(frame.clone()));
        }
        if let Some(wrapped) = self.ready.remove(&id.sequence) {
            return Some(wrapped);
        }
        if !self.asked.contains(&id.sequence) && self.jobs.try_send(Job::Wrap(id.clone(), frame.clone())).is_ok() {
            self.asked.insert(id.sequence);
        }
        None
    }

    /// Frames whose envelopes have come since, good or not.
    pub(super) fn finished(&mut self) -> Vec<u64> {
        let mut finished = Vec::new();
        while let Ok((sequence, wrapped)) = self.done.try_recv() {
            self.asked.remove(&sequence);
            self.ready.insert(sequence, wrapped);
            finished.push(sequence);
        }
        finished
    }

    /// Nobody waits for this frame any more: its object, where it has one, goes.
    pub(super) fn discard(&mut self, sequence: u64, frame: Bytes) {
        self.ready.remove(&sequence);
        if frame.len() > self.inline_bytes && self.jobs.try_send(Job::Discard(frame)).is_err() {
            log::warn!("event=object_left sequence={sequence} why=\"too many wait to be removed\"");
        }
    }

    /// Forgets an envelope that came too late.
    pub(super) fn forget(&mut self, sequence: u64) {
        self.ready.remove(&sequence);
    }
}
