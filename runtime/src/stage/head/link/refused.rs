//! Why a frame was not sent, and whether trying again may help.

use crate::broker::BrokerError;
use crate::stage::envelope::EnvelopeError;

/// Why a frame was not sent.
pub(super) enum Refused {
    ForNow(String),
    /// For now, and this frame alone.
    ByStore(String),
    ForEver(String),
}

impl Refused {
    pub(super) fn of_broker(why: &BrokerError) -> Self {
        match why {
            BrokerError::TooLarge { .. } => Self::ForEver(why.to_string()),
            _ => Self::ForNow(why.to_string()),
        }
    }

    pub(super) fn of_envelope(why: &EnvelopeError) -> Self {
        if why.may_pass() {
            Self::ByStore(why.to_string())
        } else {
            Self::ForEver(why.to_string())
        }
    }
}
