//! A power cut, a dying disk or a flipped bit never costs an accepted frame, and never delivers a wrong one.
//!
//! `kill -9` is no power cut, as the page cache survives it; so the disk here is simulated: unsynced sectors are kept,
//! lost or garbled by a seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use bytes::Bytes;
use kerf_runtime::spool::{Spool, SpoolLimits};
use kerf_runtime::stage::keep::{Keep, KeepError, WhenFull};
use kerf_tests::disk::{Fault, FaultyDisk};
use kerf_tests::random::{Random, seed, soak};

const LIMITS: SpoolLimits = SpoolLimits {
    bytes: 1 << 20,
    when_full: WhenFull::RefuseNew,
};

fn open(disk: &FaultyDisk) -> Spool {
    open_with(disk, LIMITS)
}

fn open_with(disk: &FaultyDisk, limits: SpoolLimits) -> Spool {
    Spool::open(Box::new(disk.clone()), limits).unwrap()
}

/// A frame that is like no other.
fn frame(sequence: u64, random: &mut Random) -> Bytes {
    let mut bytes = format!("frame {sequence}:").into_bytes();
    bytes.extend((0..random.below(200)).map(|_| random.byte()));
    Bytes::from(bytes)
}

fn everything(spool: &mut Spool) -> BTreeMap<u64, Bytes> {
    let mut all = BTreeMap::new();
    let mut after = None;
    while let Some((sequence, frame)) = spool.next_after(after).unwrap() {
        assert!(all.insert(sequence, frame).is_none(), "{sequence} came twice");
        after = Some(sequence);
    }
    all
}

/// Accepts groups of frames; gives what was accepted.
fn fill(spool: &mut Spool, groups: usize, random: &mut Random) -> BTreeMap<u64, Bytes> {
    let mut accepted = BTreeMap::new();
    for _ in 0..groups {
        let first = spool.next_sequence();
        let group: Vec<_> = (0..=random.below(4) as u64)
            .map(|n| (first + n, frame(first + n, random)))
            .collect();
        spool.accept(&group).unwrap();
        accepted.extend(group);
    }
    accepted
}

/// A disk with one segment of accepted frames, and what they are.
fn one_segment(random: &mut Random) -> (BTreeMap<String, Vec<u8>>, BTreeMap<u64, Bytes>) {
    let disk = FaultyDisk::new(1);
    let accepted = fill(&mut open(&disk), 12, random);
    let files = disk.snapshot();
    assert_eq!(files.len(), 1, "{:?}", files.keys());
    (files, accepted)
}

#[test]
fn what_was_accepted_is_there_after_a_restart_and_gone_after_its_receipt() {
    let mut random = Random::new(seed(1));
    let disk = FaultyDisk::new(1);
    let mut spool = open(&disk);
    let mut expected = fill(&mut spool, 50, &mut random);
    let boot = spool.boot();
    for opening in 0..4 {
        assert_eq!(everything(&mut spool), expected, "opening {opening}");
        let answered: Vec<u64> = expected.keys().copied().filter(|_| random.one_in(3)).collect();
        for sequence in answered {
            spool.free(sequence).unwrap();
            expected.remove(&sequence);
        }
        spool.flush().unwrap();
        assert_eq!(spool.frames(), expected.len());
        drop(spool);
        spool = open(&disk);
        assert_eq!(spool.boot(), boot);
        assert!(spool.next_sequence() > *expected.keys().last().unwrap());
        expected.extend(fill(&mut spool, 10, &mut random));
    }
}

#[test]
fn every_truncation_loses_only_what_was_cut_off() {
    let mut random = Random::new(seed(2));
    let (files, accepted) = one_segment(&mut random);
    let (name, whole) = files.first_key_value().unwrap();
    for length in 0..whole.len() {
        let disk = FaultyDisk::holding(&BTreeMap::from([(name.clone(), whole[..length].to_vec())]));
        let found = everything(&mut open(&disk));
        let expected: BTreeMap<_, _> = accepted
            .iter()
            .take(found.len())
            .map(|(s, f)| (*s, f.clone()))
            .collect();
        assert_eq!(found, expected, "cut at {length}");
        let bytes: usize = found.values().map(|f| f.len() + 20).sum();
        let next = accepted.values().nth(found.len()).map_or(0, |f| f.len() + 20);
        assert!(
            bytes <= length && bytes + next > length,
            "cut at {length}: {} frames",
            found.len()
        );
    }
}

#[test]
fn a_flipped_bit_costs_one_record_at_most_and_delivers_no_wrong_frame() {
    let mut random = Random::new(seed(3));
    let (files, accepted) = one_segment(&mut random);
    let (name, whole) = files.first_key_value().unwrap();
    // Every bit in a soak; in every run a random one of each byte.
    let bits = |random: &mut Random| {
        if soak() > 1 {
            0..8
        } else {
            let b = random.below(8);
            b..b + 1
        }
    };
    for at in 0..whole.len() {
        for bit in bits(&mut random) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            let disk = FaultyDisk::holding(&BTreeMap::from([(name.clone(), damaged)]));
            let mut spool = open(&disk);
            let found = everything(&mut spool);
            assert!(
                found.len() + 1 >= accepted.len(),
                "byte {at} bit {bit} cost {} frames",
                accepted.len() - found.len()
            );
            assert!(
                found.iter().all(|(s, f)| accepted.get(s) == Some(f)),
                "byte {at} bit {bit}: a wrong frame"
            );
            assert_eq!(
                spool.frames(),
                found.len(),
                "byte {at} bit {bit}: somebody waits for a lost frame"
            );
            // Nothing that comes now may take a sequence that was used.
            assert!(spool.next_sequence() > *accepted.keys().last().unwrap());
        }
    }
}

#[test]
fn a_bit_that_flips_while_the_spool_is_open_is_noticed_and_not_waited_for() {
    let mut random = Random::new(seed(4));
    let disk = FaultyDisk::new(1);
    let mut spool = open(&disk);
    let accepted = fill(&mut spool, 12, &mut random);
    let name = disk.names().pop().unwrap();
    let mut bytes = disk.bytes(&name);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    disk.put(&name, &bytes);
    let found = everything(&mut spool);
    assert_eq!(found.len() + 1, accepted.len());
    assert!(found.iter().all(|(s, f)| accepted.get(s) == Some(f)));
    found.keys().for_each(|&s| spool.free(s).unwrap());
    assert_eq!(spool.frames(), 0);
}

/// A disk with accepted frames of which every third is freed and that is written down; what still waits, and the names.
fn with_cursor(random: &mut Random) -> (FaultyDisk, BTreeMap<u64, Bytes>) {
    let disk = FaultyDisk::new(random.next());
    let mut spool = open(&disk);
    let mut waiting = fill(&mut spool, 12, random);
    let freed: Vec<u64> = waiting.keys().copied().step_by(3).collect();
    for sequence in freed {
        spool.free(sequence).unwrap();
        waiting.remove(&sequence);
    }
    spool.flush().unwrap();
    (disk, waiting)
}

#[test]
fn a_damaged_cursor_costs_repeats_and_never_a_frame() {
    let mut random = Random::new(seed(8));
    let (disk, waiting) = with_cursor(&mut random);
    let cursor = disk.bytes("cursor");
    let files = disk.snapshot();
    let flips = (0..cursor.len() * 8).map(|bit| {
        let mut damaged = cursor.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged
    });
    let cuts = (0..cursor.len()).map(|length| cursor[..length].to_vec());
    for (number, damaged) in flips.chain(cuts).enumerate() {
        let mut files = files.clone();
        files.insert("cursor".to_owned(), damaged);
        let found = everything(&mut open(&FaultyDisk::holding(&files)));
        assert!(
            waiting.iter().all(|(s, f)| found.get(s) == Some(f)),
            "damage {number} cost a frame"
        );
    }
}

#[test]
fn what_was_freed_and_written_down_does_not_come_again_after_a_power_cut() {
    let seed = seed(9);
    for round in 0..40 {
        let mut random = Random::new(seed + round);
        let (disk, mut waiting) = with_cursor(&mut random);
        disk.power_cut(16);
        let mut spool = open(&disk);
        assert_eq!(everything(&mut spool), waiting, "round {round}");
        // The next writing dies at each of its calls: the old cursor or the new one is there, never neither.
        let (&next, _) = waiting.first_key_value().unwrap();
        spool.free(next).unwrap();
        disk.fault_at(round % 8, Fault::Crash);
        let flushed = spool.flush().is_ok();
        drop(spool);
        disk.power_cut(16);
        let found = everything(&mut open(&disk));
        if flushed {
            waiting.remove(&next);
        } else {
            waiting.retain(|s, _| *s != next || found.contains_key(s));
        }
        assert_eq!(found, waiting, "round {round}, flushed {flushed}");
    }
}

/// One life of a device: accepts and frees at random until the machine dies, then the power is cut.
/// Gives what was accepted and not freed, and what was freed.
struct Life {
    accepted: BTreeMap<u64, Bytes>,
    /// Offered when the machine died: they may be there or not.
    offered: BTreeMap<u64, Bytes>,
    freed: BTreeSet<u64>,
}

fn live(disk: &FaultyDisk, life: &mut Life, random: &mut Random) {
    // The fault may strike while opening.
    let Ok(mut spool) = Spool::open(Box::new(disk.clone()), LIMITS) else {
        return;
    };
    for _ in 0..40 {
        if random.one_in(3) && !life.accepted.is_empty() {
            let at = random.below(life.accepted.len());
            let sequence = *life.accepted.keys().nth(at).unwrap();
            life.accepted.remove(&sequence);
            life.freed.insert(sequence);
            let _repeats_are_harmless = spool.free(sequence);
            if random.one_in(4) {
                let _the_same = spool.flush();
            }
            continue;
        }
        let first = spool.next_sequence();
        let group: Vec<_> = (0..=random.below(3) as u64)
            .map(|n| (first + n, frame(first + n, random)))
            .collect();
        for (sequence, _) in &group {
            let used = life.accepted.contains_key(sequence) || life.freed.contains(sequence);
            assert!(!used, "sequence {sequence} came twice");
        }
        if spool.accept(&group).is_ok() {
            life.accepted.extend(group);
        } else {
            life.offered.extend(group);
            return;
        }
    }
}

fn after_the_cut(disk: &FaultyDisk, life: &mut Life, context: &str) {
    let mut spool = open(disk);
    let found = everything(&mut spool);
    for (sequence, frame) in &life.accepted {
        assert_eq!(
            found.get(sequence),
            Some(frame),
            "{context}: accepted frame {sequence} is lost or wrong"
        );
    }
    for (sequence, frame) in &found {
        let known = life.accepted.get(sequence).or_else(|| life.offered.get(sequence));
        let known = known.is_some_and(|k| k == frame) || life.freed.contains(sequence);
        assert!(known, "{context}: frame {sequence} was never offered like this");
    }
    // What was offered and survived counts as accepted from now on.
    let survived = life
        .offered
        .iter()
        .filter(|(s, _)| found.contains_key(s))
        .map(|(s, f)| (*s, f.clone()));
    life.accepted.extend(survived.collect::<Vec<_>>());
    life.offered.clear();
}

#[test]
fn dying_at_any_call_and_tearing_any_sector_costs_no_accepted_frame() {
    let seed = seed(5);
    for round in 0..300 * soak() {
        let mut random = Random::new(seed.wrapping_add(round));
        let disk = FaultyDisk::new(random.next());
        let mut life = Life {
            accepted: BTreeMap::new(),
            offered: BTreeMap::new(),
            freed: BTreeSet::new(),
        };
        for death in 0..4 {
            disk.fault_at(random.below(60) as u64, Fault::Crash);
            live(&disk, &mut life, &mut random);
            let sector = if random.one_in(2) { 512 } else { 16 };
            disk.power_cut(sector);
            after_the_cut(
                &disk,
                &mut life,
                &format!("KERF_TEST_SEED={seed} round {round} death {death}"),
            );
        }
    }
}

#[test]
fn an_error_at_any_call_costs_no_accepted_frame_and_ends_when_the_disk_is_well() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem] {
        for call in 0..40 {
            let mut random = Random::new(seed(6) + call);
            let disk = FaultyDisk::new(call);
            let mut spool = open(&disk);
            let mut accepted = fill(&mut spool, 3, &mut random);
            disk.fault_at(call, Fault::Error(kind));
            let mut refused = None;
            for _ in 0..20 {
                let first = spool.next_sequence();
                let group = refused
                    .take()
                    .unwrap_or_else(|| vec![(first, frame(first, &mut random))]);
                match spool.accept(&group) {
                    Ok(_) => accepted.extend(group),
                    Err(why) => {
                        let full = matches!(why, KeepError::DiskFull(_));
                        assert_eq!(full, kind == ErrorKind::StorageFull, "{why}");
                        refused = Some(group);
                    }
                }
            }
            assert!(refused.is_some() && disk.has_failed());
            disk.heal();
            let group = refused.unwrap();
            spool.accept(&group).unwrap();
            accepted.extend(group);
            assert_eq!(everything(&mut spool), accepted, "{kind:?} at call {call}");
            drop(spool);
            disk.power_cut(512);
            assert_eq!(
                everything(&mut open(&disk)),
                accepted,
                "{kind:?} at call {call}, after a power cut"
            );
        }
    }
}

#[test]
fn a_full_spool_refuses_or_drops_the_oldest_and_says_which() {
    let mut random = Random::new(seed(7));
    let small = SpoolLimits {
        bytes: 4096,
        when_full: WhenFull::RefuseNew,
    };
    let disk = FaultyDisk::new(1);
    let mut spool = open_with(&disk, small);
    let mut accepted = Vec::new();
    let full = loop {
        let sequence = spool.next_sequence();
        match spool.accept(&[(sequence, frame(sequence, &mut random))]) {
            Ok(dropped) => assert!(dropped.is_empty()),
            Err(why) => break why,
        }
        accepted.push(sequence);
    };
    assert!(matches!(full, KeepError::Full { .. }), "{full}");
    assert!(spool.bytes() <= 4096);
    // A receipt for everything makes room again.
    accepted.iter().for_each(|&s| spool.free(s).unwrap());
    let sequence = spool.next_sequence();
    spool.accept(&[(sequence, frame(sequence, &mut random))]).unwrap();

    let disk = FaultyDisk::new(1);
    let policy = SpoolLimits {
        when_full: WhenFull::DropOldest,
        ..small
    };
    let mut spool = open_with(&disk, policy);
    let mut there = BTreeMap::new();
    let mut told = Vec::new();
    for _ in 0..200 {
        let sequence = spool.next_sequence();
        let group = [(sequence, frame(sequence, &mut random))];
        told.extend(spool.accept(&group).unwrap());
        there.extend(group);
        assert!(spool.bytes() <= 4096);
    }
    assert!(!told.is_empty());
    there.retain(|sequence, _| !told.contains(sequence));
    assert_eq!(everything(&mut spool), there);
}
