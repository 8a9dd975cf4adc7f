//! What `dct` knows beforehand of one value: fitted offline on calibration data, carried by the manifest.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::error::WireError;

/// Longest side of a block.
pub const MAX_BLOCK: usize = 16;
/// Most channels of a coded tensor.
pub const MAX_CHANNELS: usize = 65_536;
/// Largest magnitude of a level.
pub const MAX_LEVEL: u32 = (1 << 20) - 1;

/// Which axis the channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[N, C]`, `[N, C, W]`, `[N, C, H, W]`, or more axes before the last, which count as rows.
    ChannelsFirst,
    /// `[…, W, C]`: the last axis is the channels, the one before it the columns, all others rows.
    ChannelsLast,
}

/// The table of the `dct` codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Which axis the channels are.
    pub layout: Layout,
    /// Rows and columns of a block; each divides its axis. `[1, 1]` is no transform.
    pub block: [u8; 2],
    /// False where no level is below zero (after a ReLU, without a transform): then no signs travel.
    pub signed: bool,
    /// Levels are clipped to this magnitude.
    pub max_level: u32,
    /// 1: one uniform quantiser. 4: two quantisers of double step that take turns, a choice of four states a channel, and
    /// the encoder searches for the levels that cost least: about an eighth of a bit a value fewer at equal error.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub states: u8,
    /// With one state, a magnitude m, in steps, becomes the level ⌊m + rounding⌋; 0.5 rounds, less widens the zero.
    /// Encoder only.
    pub rounding: f32,
    /// With four states, the squared error that a bit is worth, in squares of the step: 0 to 1. Encoder only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lambda: f32,
    /// A level l ≠ 0 stands for the magnitude l + shift, in steps; with four states for 2l + shift or 2l − 1 + shift.
    pub shift: f32,
    /// Step of each frequency of a block, row-major, in units of the value. With four states, the distance between a point
    /// of one quantiser and the next of the other.
    pub steps: Vec<f32>,
    /// Mean of each channel: taken off before the transform, added after.
    pub means: Vec<f32>,
    /// By frequency: with the channel's, the class of magnitude that is expected at coarseness 0.
    pub frequency_class: Vec<i16>,
    /// By channel; a class is a quarter of an octave, 0 is a mean magnitude of 2^−4 steps; with four states, of double steps.
    pub channel_class: Vec<i16>,
}

const fn one() -> u8 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_one(states: &u8) -> bool {
    *states == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(lambda: &f32) -> bool {
    *lambda == 0.0
}

impl Table {
    /// Checks that lengths fit together and numbers are in range.
    ///
    /// # Errors
    /// [`WireError::BadCodec`] says what is wrong.
    pub fn check(&self) -> Result<(), WireError> {
        let side = 1..=MAX_BLOCK;
        let [rows, columns] = self.block.map(usize::from);
        if !side.contains(&rows) || !side.contains(&columns) {
            return Err(WireError::BadCodec("a table's block sides are 1 to 16"));
        }
        if self.steps.len() != rows * columns || self.frequency_class.len() != rows * columns {
            return Err(WireError::BadCodec("a table has one step and one class a frequency"));
        }
        if self.means.len() > MAX_CHANNELS || self.means.len() != self.channel_class.len() {
            return Err(WireError::BadCodec("a table has one mean and one class a channel"));
        }
        if !self
            .steps
            .iter()
            .all(|step| step.is_normal() && *step > 0.0 && step.recip().is_normal())
        {
            return Err(WireError::BadCodec("a table's steps are positive and not extreme"));
        }
        if !self.means.iter().all(|mean| mean.is_finite()) {
            return Err(WireError::BadCodec("a table's means are finite"));
        }
        if !(0.0..=0.5).contains(&self.rounding) || !(-0.5..=0.5).contains(&self.shift) {
            return Err(WireError::BadCodec(
                "a table's rounding is 0 to 0.5, its shift −0.5 to 0.5",
            ));
        }
        if self.states != 1 && self.states != 4 {
            return Err(WireError::BadCodec("a table has 1 or 4 states"));
        }
        if !(0.0..=1.0).contains(&self.lambda) {
            return Err(WireError::BadCodec("a table's lambda is 0 to 1"));
        }
        if self.takes_turns() && self.max_level < 2 {
            return Err(WireError::BadCodec("a table of 4 states has levels up to 2 at least"));
        }
        if !(1..=MAX_LEVEL).contains(&self.max_level) {
            return Err(WireError::BadCodec("a table's largest level is 1 to 2^20 − 1"));
        }
        Ok(())
    }

    /// Whether two quantisers take turns.
    pub(super) fn takes_turns(&self) -> bool {
        self.states == 4
    }

    /// Reads a manifest's table.
    ///
    /// # Errors
    /// When it is no table, or does not hold together.
    #[cfg(feature = "std")]
    pub fn from_json(json: &serde_json::Value) -> Result<Self, WireError> {
        let table = Self::deserialize(json).map_err(|_| WireError::BadCodec("the table is not one of dct"))?;
        table.check()?;
        Ok(table)
    }

    /// As the manifest carries it.
    #[cfg(feature = "std")]
    pub fn to_json(&self) -> serde_json::Value {
        // Plain numbers, strings and arrays: there is nothing that could fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// How a tensor of some shape is cut into channels, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Elements from one channel to the next.
    pub(super) channel_stride: usize,
    /// Elements from one column to the next.
    pub(super) column_stride: usize,
}

impl Geometry {
    /// None where the shape does not fit the table.
    pub(super) fn of(table: &Table, shape: &[u32]) -> Option<Self> {
        let product = |dims: &[u32]| crate::tensor::elements(dims).ok();
        let (images, channels, rows, columns) = match (table.layout, shape) {
            (Layout::ChannelsFirst, [n, c, inner @ ..]) => {
                let (columns, rows) = inner.split_last().map_or((&1, [].as_slice()), |(w, h)| (w, h));
                (product(&[*n])?, *c, product(rows)?, *columns)
            }
            (Layout::ChannelsLast, [rows @ .., w, c]) => (1, *c, product(rows)?, *w),
            _ => return None,
        };
        let channels = usize::try_from(channels).ok()?;
        let columns = usize::try_from(columns).ok()?;
        let [block_rows, block_columns] = table.block.map(usize::from);
        if channels != table.means.len()
            || rows.checked_rem(block_rows) != Some(0)
            || columns.checked_rem(block_columns) != Some(0)
        {
            return None;
        }
        let (channel_stride, column_stride) = match table.layout {
            Layout::ChannelsFirst => (rows.checked_mul(columns)?, 1),
            Layout::ChannelsLast => (1, channels),
        };
        Some(Self {
            images,
            channels,
            rows,
            columns,
            channel_stride,
            column_stride,
        })
    }
}
