//! Tables for people: columns as wide as what stands in them.

use std::fmt::Write as _;

/// A table under a head line; columns from `numbers` on are read from the right.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], numbers: usize) -> String {
    let head = head.map(str::to_owned);
    let mut widths = [0_usize; N];
    for row in std::iter::once(&head).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        for (column, (width, cell)) in widths.iter().zip(row).enumerate() {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let gap = if column + 1 == N { "\n" } else { "  " };
            let _infallible = if column >= numbers {
                write!(text, "{pad}{cell}{gap}")
            } else if column + 1 == N {
                write!(text, "{cell}{gap}")
            } else {
                write!(text, "{cell}{pad}{gap}")
            };
        }
    }
    text
}

/// Milliseconds with the digits that a person wants.
pub(crate) fn ms(ms: f64) -> String {
    match ms.abs() {
        size if size >= 100.0 => format!("{ms:.0}"),
        size if size >= 10.0 => format!("{ms:.1}"),
        size if size >= 1.0 => format!("{ms:.2}"),
        _ => format!("{ms:.3}"),
    }
}

/// Bytes with a unit of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.2} MB", bytes as f64 / 1e6),
    }
}
