//! A table for a terminal of 80 columns: headings over one or two lines, numbers to the right.
//!
//! Owns: widths and alignment. Must not know: what is in the cells.

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column: its heading, `\n` between two lines, and how it stands.
pub(crate) type Column = (&'static str, Align);

/// Two spaces between columns would not fit eight of them into 80.
const GAP: &str = " ";

/// Renders rows under headings; each line ends with a newline.
pub(crate) fn render<const N: usize>(columns: &[Column; N], rows: &[[String; N]]) -> String {
    let heading = |line: usize| columns.map(|(text, _)| text.split('\n').nth(line).unwrap_or_default().to_owned());
    let two_lines = columns.iter().any(|(text, _)| text.contains('\n'));
    let mut lines = vec![heading(0)];
    if two_lines {
        lines.push(heading(1));
    }
    let headings = lines.len();
    lines.extend(rows.iter().cloned());
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    let rule = widths
        .iter()
        .map(|width| "─".repeat(*width))
        .collect::<Vec<_>>()
        .join(GAP);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        if number == headings {
            text.push_str(&rule);
            text.push('\n');
        }
        let cells = line
            .iter()
            .zip(&widths)
            .zip(columns)
            .map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

/// Cuts a text to so many characters, with `…` where something is gone.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let columns = [("photo", Align::Left), ("head\nms", Align::Right)];
        let rows = [
            ["chelsea".to_owned(), "12.5".to_owned()],
            ["café".to_owned(), "103.0".to_owned()],
        ];
        let expected = "photo    head\n           ms\n─────── ─────\nchelsea  12.5\ncafé    103.0\n";
        assert_eq!(render(&columns, &rows), expected);
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(shorten("Egyptian cat", 12), "Egyptian cat");
        assert_eq!(shorten("Egyptian cat", 10), "Egyptian…");
    }
}
