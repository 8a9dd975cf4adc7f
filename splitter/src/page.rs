//! A model as a picture: one HTML file, an SVG, or a DOT graph.
//!
//! Owns: what is drawn ([`Drawing`]), where ([`layout`]), and the files' text. Must not know: where graphs come from.
//! Start at [`Drawing::of_model`]; [`html`], [`svg`] and [`dot`] write it.
//!
//! Nodes that depend on no input are not drawn: they belong to the node that reads them and stand in its details.

mod describe;
mod dot;
mod drawing;
mod html;
mod layout;
mod limits;
mod svg;

pub use dot::dot;
pub use drawing::{Drawing, DrawingError};
pub use html::html;
pub use layout::{Layout, layout};
pub use svg::svg;
