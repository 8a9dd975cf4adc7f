//! Topics: who writes what where.
//!
//! Owns: the names. Must not know: payloads, connections.
//!
//! | topic | written by | read by |
//! |---|---|---|
//! | `P/DEVICE/frames/MODEL-CUT` | the device's head; a middle part in its name | the part behind that cut |
//! | `P/DEVICE/receipt` | the last part; a reader that confirms | the device's head |
//! | `P/DEVICE/result` | the part that answers | readers, the device's head |
//! | `P/DEVICE/input` | any client | the device's stage |
//! | `P/DEVICE/status/PART` | the device's stage (retained; last will) | operators |
//!
//! P is the prefix, one or two levels, so that no topic has more than five.

use std::fmt;

use kerf_wire::{CutId, DeviceId, Digest};

/// Longest prefix, bytes.
pub const MAX_PREFIX_BYTES: usize = 64;
/// Most levels of the prefix.
pub const MAX_PREFIX_LEVELS: usize = 2;
/// Hexadecimal digits of the model and of the cut in a topic: 48 bits each; the frame carries both whole.
const KEY_DIGITS: usize = 12;

/// The topics under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

/// A prefix that would not be one or two plain levels.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "topic prefix {0:?} is not one or two levels of letters, digits, '-', '_' and '.', at most {MAX_PREFIX_BYTES} bytes"
)]
pub struct BadPrefix(String);

impl Topics {
    /// Checks and takes a prefix.
    ///
    /// # Errors
    /// When it is empty, too long, has a wildcard or more than two levels.
    pub fn new(prefix: &str) -> Result<Self, BadPrefix> {
        let plain = |level: &str| {
            !level.is_empty()
                && level
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let fits = prefix.len() <= MAX_PREFIX_BYTES
            && prefix.split('/').count() <= MAX_PREFIX_LEVELS
            && prefix.split('/').all(plain);
        if fits {
            Ok(Self {
                prefix: prefix.to_owned(),
            })
        } else {
            Err(BadPrefix(prefix.to_owned()))
        }
    }

    /// Where frames of one device cross one cut of one model.
    pub fn frames(&self, device: &DeviceId, model: &Digest, cut: &CutId) -> String {
        format!("{}/{device}/frames/{}", self.prefix, key(model, cut))
    }

    /// All devices' frames across one cut; shared between the stages of a group where one is named.
    pub fn frames_filter(&self, model: &Digest, cut: &CutId, share: Option<&str>) -> String {
        let share = share.map(|group| format!("$share/{group}/")).unwrap_or_default();
        format!("{share}{}/+/frames/{}", self.prefix, key(model, cut))
    }

    /// Where a device's receipts come.
    pub fn receipt(&self, device: impl fmt::Display) -> String {
        format!("{}/{device}/receipt", self.prefix)
    }

    /// Where a device's results come; `+` for all devices.
    pub fn result(&self, device: impl fmt::Display) -> String {
        format!("{}/{device}/result", self.prefix)
    }

    /// Where any client may give a device an input.
    pub fn input(&self, device: impl fmt::Display) -> String {
        format!("{}/{device}/input", self.prefix)
    }

    /// Birth, death and counters of a device's stage of this part.
    pub fn status(&self, device: impl fmt::Display, part: usize) -> String {
        format!("{}/{device}/status/{part}", self.prefix)
    }

    /// The device level of a topic under this prefix.
    pub fn device_of<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix('/')?
            .split('/')
            .next()
    }
}

fn key(model: &Digest, cut: &CutId) -> String {
    let short = |text: String| text.chars().take(KEY_DIGITS).collect::<String>();
    format!("{}-{}", short(model.to_string()), short(cut.to_string()))
}

/// True when an MQTT filter (without `$share/…/`) takes a topic. MQTT 5.0 section 4.7.
pub fn matches(filter: &str, topic: &str) -> bool {
    // Section 4.7.2: a wildcard at the front does not take topics of the broker's own.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        match (level, topic_levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(got)) if wanted == got => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

/// The group and the filter of `$share/GROUP/FILTER`.
pub fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn filters_take_what_the_standard_says() {
        // The examples of MQTT 5.0, sections 4.7.1.2, 4.7.1.3 and 4.7.2.
        let yes = [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("#", "sport/tennis"),
            ("sport/tennis/+", "sport/tennis/player2"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/broker"),
        ];
        let no = [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/broker"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ];
        for (filter, topic) in yes {
            assert!(matches(filter, topic), "{filter} should take {topic}");
        }
        for (filter, topic) in no {
            assert!(!matches(filter, topic), "{filter} should not take {topic}");
        }
    }

    #[test]
    fn topics_have_at_most_five_levels_and_give_their_device_back() {
        let topics = Topics::new("site-1/kerf").unwrap();
        let device = DeviceId::new("cam-7").unwrap();
        let frames = topics.frames(&device, &Digest([7; 32]), &CutId([9; 16]));
        assert_eq!(frames, "site-1/kerf/cam-7/frames/070707070707-090909090909");
        assert_eq!(frames.split('/').count(), 5);
        assert_eq!(topics.device_of(&frames), Some("cam-7"));
        assert_eq!(topics.device_of("other/cam-7/result"), None);
        let filter = topics.frames_filter(&Digest([7; 32]), &CutId([9; 16]), Some("tails"));
        let (group, filter) = shared(&filter).unwrap();
        assert_eq!(group, "tails");
        assert!(matches(filter, &frames));
    }

    #[test]
    fn a_prefix_with_a_wildcard_or_three_levels_is_refused() {
        for bad in ["", "a/b/c", "a/+", "#", "a//b", "a b", "$share"] {
            assert!(Topics::new(bad).is_err(), "{bad:?} was taken");
        }
    }
}
