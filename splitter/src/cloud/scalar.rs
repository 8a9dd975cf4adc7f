//! Words that go into YAML: each of a kind whose characters need no quoting, checked before a template sees it.

use std::fmt;
use std::str::FromStr;

/// A word that Kubernetes, OSCAR or a registry would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?}: {rule}")]
pub struct Wrong {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = Wrong;

            fn from_str(text: &str) -> Result<Self, Wrong> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(Wrong { kind: $kind, text: text.chars().take(100).collect(), rule: $rule })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

scalar! {
    /// A service's name: a DNS label; OSCAR takes 39 characters.
    Name, "name", "1 to 39 lower-case letters, digits and '-', beginning with a letter, not ending with '-'",
    |text| {
        text.len() <= 39
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && only(text, "-", false)
    }
}

scalar! {
    /// An OSCAR cluster's id in an FDL file.
    Cluster, "cluster", "1 to 63 letters, digits, '-' and '_', beginning with a letter",
    |text| text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && only(text, "-_", true)
}

scalar! {
    /// A bucket (S3's rule).
    Bucket, "bucket", "3 to 63 lower-case letters, digits and '-', beginning with a letter, not ending with '-'",
    |text| {
        (3..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && only(text, "-", false)
    }
}

scalar! {
    /// A container image's reference: registry, path, and tag or digest.
    ImageName, "image", "REGISTRY/NAME:TAG or NAME@sha256:DIGEST in letters, digits and '.', '-', '_', '/', ':', '@'",
    |text| {
        text.len() <= 255
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text.contains(|c: char| c.is_ascii_alphabetic())
            && only(text, ".-_/:@", true)
    }
}

scalar! {
    /// A quantity of processor or memory.
    Quantity, "quantity", "a number with an optional m, Ki, Mi, Gi, Ti, k, M, G or T, e.g. 500m or 1Gi",
    |text| {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let plain = number.starts_with(|c: char| c.is_ascii_digit()) && only(number, ".", false);
        let known = ["", "m", "Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T"].contains(&unit);
        text.len() <= 20 && plain && known && number.parse::<f64>().is_ok_and(|n| n > 0.0)
    }
}

/// An MQTT broker: `mqtt://HOST[:PORT]` or `mqtts://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    url: String,
    port: u16,
}

impl Broker {
    /// The port; MQTT's own where none is named.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Broker {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong {
            kind: "broker",
            text: text.chars().take(100).collect(),
            rule: "mqtt://HOST, mqtt://HOST:PORT or mqtts://…, without user and password",
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let standard = match scheme {
            "mqtt" => 1883,
            "mqtts" => 8883,
            _ => return Err(wrong()),
        };
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?),
            None => (rest, standard),
        };
        if host.len() > 253 || !only(host, ".-", true) {
            return Err(wrong());
        }
        Ok(Self {
            url: text.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A name made from any text, e.g. a model's file name.
pub fn name_from(text: &str) -> Option<Name> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let mapped: String = text.chars().map(plain).collect();
    let cut: String = mapped.trim_matches('-').chars().take(39).collect();
    let cut = cut.trim_end_matches('-');
    cut.parse().or_else(|_| format!("m-{cut}").parse()).ok()
}

fn only(text: &str, others: &str, upper: bool) -> bool {
    let fits = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || (upper && c.is_ascii_uppercase()) || others.contains(c)
    };
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn what_would_leave_its_place_in_yaml_is_refused() {
        for text in [
            "",
            "a b",
            "a: b",
            "a\nb",
            "a#b",
            "{a}",
            "\"a\"",
            "-a",
            "a-",
            "A",
            "1a",
            &"a".repeat(40),
        ] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        for text in ["ghcr.io/a/b:1.2", "localhost:5000/x@sha256:00ff", "tail"] {
            assert!(text.parse::<ImageName>().is_ok(), "{text:?}");
        }
        for text in ["a b", "a\nb", "/a", "a:", "1:2"] {
            assert!(text.parse::<ImageName>().is_err(), "{text:?}");
        }
        for (text, right) in [
            ("1", true),
            ("500m", true),
            ("1.5", true),
            ("256Mi", true),
            ("0", false),
            ("-1", false),
            ("1Zi", false),
            ("1e3", false),
            ("1..5", false),
        ] {
            assert_eq!(text.parse::<Quantity>().is_ok(), right, "{text:?}");
        }
        assert_eq!("mqtts://b.example".parse::<Broker>().unwrap().port(), 8883);
        for text in ["mqtt://u:p@h", "http://h", "mqtt://h:0", "mqtt://", "mqtt://h:1/x"] {
            assert!(text.parse::<Broker>().is_err(), "{text:?}");
        }
        assert_eq!(
            name_from("EfficientNet_Lite0.v2").unwrap().to_string(),
            "efficientnet-lite0-v2"
        );
        assert_eq!(name_from("3d").unwrap().to_string(), "m-3d");
        assert_eq!(name_from("___"), None);
    }
}
