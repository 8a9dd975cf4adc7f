//! Why a set of values is no legal cut.

/// Why a set of values is no legal cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Illegal {
    /// No value at all.
    #[error("a cut needs at least one value")]
    Empty,
    /// It depends on no input.
    #[error("value {value:?} depends on no input: it is copied to the parts that need it and never crosses")]
    Constant {
        /// The value.
        value: String,
    },
    /// Nothing runs behind the cut.
    #[error("nothing runs behind {value:?}: no node needs it on the way to an output")]
    NothingBehind {
        /// The value, or the first of them.
        value: String,
    },
    /// A value of the cut that no node behind it needs.
    #[error("value {value:?} is not needed behind the cut: leave it out")]
    NotNeeded {
        /// The value.
        value: String,
    },
    /// A value from before the cut is needed behind it and does not cross.
    #[error("value {value:?} is missing: it is made before the cut and {node} needs it behind")]
    Missing {
        /// The value.
        value: String,
        /// Who needs it.
        node: String,
    },
    /// A value from behind the cut is needed before it.
    #[error("value {value:?} flows back: it is made behind the cut and {node} needs it before")]
    FlowsBack {
        /// The value.
        value: String,
        /// Who needs it.
        node: String,
    },
    /// A later cut of a chain does not lie behind the one before.
    #[error("cut {index} of the chain does not lie behind cut {}: it makes {value:?} once more", index - 1)]
    OutOfOrder {
        /// Which cut, from 1.
        index: usize,
        /// A value of the earlier part that the later cut would put behind it.
        value: String,
    },
    /// Frames do not carry what the value is.
    #[error("value {value:?} cannot cross: {why}")]
    NotCarried {
        /// The value.
        value: String,
        /// Its type, or what is not known of it.
        why: String,
    },
    /// More values than a frame carries.
    #[error("{got} values cross, a frame carries {}", kerf_wire::limits::MAX_TENSORS)]
    TooMany {
        /// How many.
        got: usize,
    },
    /// More parts than a frame passes.
    #[error("{got} parts, a frame passes at most {}", kerf_wire::limits::MAX_HOPS)]
    TooManyParts {
        /// How many.
        got: usize,
    },
}
