//! A set of numbers as ranges: numbers that come nearly in order cost nearly nothing.
//!
//! Owns: the set. Must not know: what the numbers count.

use std::collections::BTreeMap;

/// Numbers, as first → last of each range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// True when the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        self.at_or_before(number).is_some_and(|(_, last)| last >= number)
    }

    /// Puts a number in; true when it is new.
    pub fn insert(&mut self, number: u64) -> bool {
        let before = self.at_or_before(number);
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        let joined = before.filter(|&(_, last)| last.checked_add(1) == Some(number));
        let first = joined.map_or(number, |(first, _)| first);
        let behind = number.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(first, behind.unwrap_or(number));
        true
    }

    /// True when putting this number in makes no new range.
    pub fn joins(&self, number: u64) -> bool {
        let touches = |(_, last): (u64, u64)| last.saturating_add(1) >= number;
        self.at_or_before(number).is_some_and(touches)
            || number.checked_add(1).is_some_and(|next| self.0.contains_key(&next))
    }

    /// Takes all numbers below this one out.
    pub fn forget_below(&mut self, number: u64) {
        let kept = self.0.split_off(&number);
        let split = self.0.last_key_value().filter(|&(_, &last)| last >= number);
        let split = split.map(|(_, &last)| last);
        self.0 = kept;
        if let Some(last) = split {
            self.0.insert(number, last);
        }
    }

    /// First and last of each range, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(&first, &last)| (first, last))
    }

    /// Puts a whole range in, which must lie behind all others.
    pub fn push(&mut self, first: u64, last: u64) {
        self.0.insert(first, last);
    }

    /// Ranges in the set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at_or_before(&self, number: u64) -> Option<(u64, u64)> {
        self.0.range(..=number).next_back().map(|(&first, &last)| (first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_the_same_set_as_the_standard_librarys() {
        let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
        let mut x = 7_u64;
        for step in 0..20_000_u64 {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = (x >> 33) % 600;
            let before = ranges.len();
            let joins = ranges.joins(number);
            assert_eq!(
                ranges.insert(number),
                set.insert(number),
                "step {step}, number {number}"
            );
            assert!(
                ranges.len() <= before || !joins,
                "step {step}: {number} joins and made a range"
            );
            if step % 997 == 0 {
                ranges.forget_below(number);
                set = set.split_off(&number);
            }
            let probe = (x >> 13) % 600;
            assert_eq!(
                ranges.contains(probe),
                set.contains(&probe),
                "step {step}, probe {probe}"
            );
        }
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let mut ranges = Ranges::default();
        assert!(ranges.insert(u64::MAX) && ranges.insert(u64::MAX - 1) && !ranges.insert(u64::MAX));
        assert_eq!(ranges.len(), 1);
    }
}
