//! A tensor's way through `dct`: which elements make a block, in which order blocks are coded.

#![allow(clippy::indexing_slicing, reason = "a lane is taken modulo their number")]

use alloc::vec::Vec;

use super::laplace::Class;
use super::pairs;
use super::table::{Geometry, Layout, MAX_BLOCK, Table};
use super::transform::{Block, LANES, forward};

/// A step a frequency of a block: on the stack, so that a small tensor takes no more memory than its size allows.
pub(super) type Steps = heapless::Vec<f32, { MAX_BLOCK * MAX_BLOCK }>;

/// One tensor's way through the codec: images, then groups of eight channels, then blocks, then frequencies, then lanes.
pub(super) struct Plan<'a> {
    pub(super) table: &'a Table,
    pub(super) geometry: Geometry,
    pub(super) steps: Steps,
    pub(super) coarseness: i8,
}

/// Up to eight channels of one image.
pub(super) struct Group {
    /// Index of the first element.
    first: usize,
    /// That of the first lane.
    pub(super) channel: usize,
    pub(super) lanes: usize,
    means: [f32; LANES],
    /// By frequency, then lane.
    pub(super) classes: Vec<Class>,
}

impl Group {
    /// The same channels with means of zero: what is stored is what the block holds.
    pub(super) fn without_means(&self) -> Self {
        Self {
            means: [0.0; LANES],
            classes: Vec::new(),
            ..*self
        }
    }
}

impl Plan<'_> {
    pub(super) fn sides(&self) -> (usize, usize) {
        let [rows, columns] = self.table.block.map(usize::from);
        (rows, columns)
    }

    pub(super) fn blocks_of_plane(&self) -> usize {
        let (rows, columns) = self.sides();
        (self.geometry.rows / rows).saturating_mul(self.geometry.columns / columns)
    }

    /// Groups of all images, in order; the elements of an image follow each other.
    pub(super) fn groups(&self) -> impl DoubleEndedIterator<Item = Group> + '_ {
        let Geometry {
            images,
            channels,
            rows,
            columns,
            channel_stride,
            ..
        } = self.geometry;
        let of_image = channels.div_ceil(LANES);
        let image_elements = channels.saturating_mul(rows).saturating_mul(columns);
        // An empty tensor has images of no block.
        let images = images.min(images.saturating_mul(self.blocks_of_plane()));
        (0..images.saturating_mul(of_image)).map(move |i| {
            let channel = i % of_image * LANES;
            let first = i / of_image * image_elements + channel * channel_stride;
            self.group(first, channel)
        })
    }

    fn group(&self, first: usize, channel: usize) -> Group {
        let lanes = self.geometry.channels.saturating_sub(channel).min(LANES);
        let mut means = [0.0; LANES];
        for (to, from) in means.iter_mut().zip(self.table.means.iter().skip(channel)) {
            *to = *from;
        }
        let of_channels = self.table.channel_class.get(channel..).unwrap_or_default();
        let mut classes = Vec::with_capacity(self.steps.len().saturating_mul(lanes));
        let class_of = if self.table.takes_turns() {
            pairs::class_of
        } else {
            Class::of
        };
        for frequency in &self.table.frequency_class {
            let offset = i32::from(*frequency) - i32::from(self.coarseness);
            let of_lanes = of_channels.iter().take(lanes);
            classes.extend(of_lanes.map(|channel| class_of(i32::from(*channel) + offset)));
        }
        Group {
            first,
            channel,
            lanes,
            means,
            classes,
        }
    }

    /// Calls `visit` with each block's group, its number in it and its coefficients, in coding order.
    pub(super) fn transformed(&self, elements: &[[u8; 4]], mut visit: impl FnMut(&Group, usize, &mut Block)) {
        let (rows, columns) = self.sides();
        let mut block: Block = [[0.0; LANES]; MAX_BLOCK * MAX_BLOCK];
        for group in self.groups() {
            for index in 0..self.blocks_of_plane() {
                self.load(elements, self.block_start(&group, index), &group, &mut block);
                forward(&mut block, rows, columns);
                visit(&group, index, &mut block);
            }
        }
    }

    /// Index of the first element of a block of a group's first channel.
    pub(super) fn block_start(&self, group: &Group, block: usize) -> usize {
        let (rows, columns) = self.sides();
        let across = (self.geometry.columns / columns).max(1);
        let row = block / across * rows;
        let column = block % across * columns;
        group.first + (row * self.geometry.columns + column) * self.geometry.column_stride
    }

    /// Calls `visit` with the index of each run of elements that lie side by side, and where in the block it goes:
    /// `(index, position, lane)`, a run being a row of one channel, or, with channels last, the lanes of one position.
    fn runs(&self, start: usize, lanes: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let (rows, columns) = self.sides();
        for row in 0..rows {
            let begin = start + row * self.geometry.columns * self.geometry.column_stride;
            match self.table.layout {
                Layout::ChannelsFirst => {
                    (0..lanes).for_each(|lane| visit(begin + lane * self.geometry.channel_stride, row * columns, lane));
                }
                Layout::ChannelsLast => (0..columns)
                    .for_each(|column| visit(begin + column * self.geometry.column_stride, row * columns + column, 0)),
            }
        }
    }

    #[inline(never)]
    pub(super) fn load(&self, elements: &[[u8; 4]], start: usize, group: &Group, block: &mut Block) {
        let columns = self.sides().1;
        let first = self.table.layout == Layout::ChannelsFirst;
        self.runs(start, group.lanes, |index, position, lane| {
            let run = elements.get(index..).unwrap_or_default();
            if first {
                let mean = group.means[lane % LANES];
                for (place, element) in block.iter_mut().skip(position).take(columns).zip(run) {
                    place[lane % LANES] = f32::from_le_bytes(*element) - mean;
                }
            } else if let Some(place) = block.get_mut(position) {
                for ((place, mean), element) in place.iter_mut().zip(group.means).zip(run).take(group.lanes) {
                    *place = f32::from_le_bytes(*element) - mean;
                }
            }
        });
    }

    #[inline(never)]
    pub(super) fn store(&self, elements: &mut [[u8; 4]], start: usize, group: &Group, block: &Block) {
        let columns = self.sides().1;
        let first = self.table.layout == Layout::ChannelsFirst;
        self.runs(start, group.lanes, |index, position, lane| {
            let run = elements.get_mut(index..).unwrap_or_default();
            if first {
                let mean = group.means[lane % LANES];
                for (place, element) in block.iter().skip(position).take(columns).zip(run) {
                    *element = (place[lane % LANES] + mean).to_le_bytes();
                }
            } else if let Some(place) = block.get(position) {
                for ((place, mean), element) in place.iter().zip(group.means).zip(run).take(group.lanes) {
                    *element = (place + mean).to_le_bytes();
                }
            }
        });
    }
}
