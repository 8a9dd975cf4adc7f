//! What to propose where a cut is not legal.

use std::collections::BTreeSet;

use super::{Cut, Cutter, Illegal};
use crate::graph::ValueId;

/// Most values that are added on the way to a legal cut.
const MOST_ADDED: usize = 16;

/// The cut that these values become when what is missing is added, and what is not needed left out.
pub fn complete(cutter: &Cutter<'_>, at: &[ValueId]) -> Option<Cut> {
    let mut at: BTreeSet<ValueId> = at.iter().copied().collect();
    for _ in 0..MOST_ADDED {
        let values: Vec<ValueId> = at.iter().copied().collect();
        match cutter.cut(&values) {
            Ok(cut) => return Some(cut),
            Err(Illegal::Missing { value, .. }) => at.insert(cutter.graph().find(&value)?),
            Err(Illegal::NotNeeded { value }) => at.remove(&cutter.graph().find(&value)?),
            Err(_) => return None,
        };
    }
    None
}

/// Legal cuts near these values: themselves completed, then the nearest single values before and behind.
pub fn nearest_legal(cutter: &Cutter<'_>, at: &[ValueId]) -> Vec<Cut> {
    let mut found: Vec<Cut> = complete(cutter, at).into_iter().collect();
    let here = at.iter().max().map_or(0, |v| v.index());
    let value_ids: Vec<ValueId> = cutter.graph().value_ids().collect();
    let single = |v: &&ValueId| {
        let made = cutter.graph().value(**v).producer().is_some();
        made.then(|| cutter.cut(&[**v]).ok()).flatten()
    };
    let (before, behind) = value_ids.split_at(here.min(value_ids.len()));
    let before = before.iter().rev().find_map(|v| single(&v));
    let behind = behind.iter().find_map(|v| single(&v));
    for cut in before.into_iter().chain(behind) {
        if !found.contains(&cut) {
            found.push(cut);
        }
    }
    found
}
