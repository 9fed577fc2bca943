//! Columns aligned as Go's `text/tabwriter` aligns them, byte for byte.
//!
//! A column is a run of consecutive lines that all have a tab after the cell; its width is that of
//! the widest cell plus the padding, at least the minimum. Text after the last tab of a line belongs
//! to no column. Width is that of the terminal, in which wide characters take two places.

use unicode_width::UnicodeWidthStr;

/// The settings of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// A column is at least so wide, in places.
    pub(crate) min_width: usize,
    /// Spaces between a column's widest cell and the next column.
    pub(crate) padding: usize,
}

impl Layout {
    /// That of `ps`, `images` and the other lists.
    pub(crate) const LIST: Self = Self { min_width: 10, padding: 3 };
    /// That of `top`.
    pub(crate) const PROCESSES: Self = Self { min_width: 20, padding: 3 };

    /// Replace tabs by as many spaces as align the columns.
    pub(crate) fn align(self, text: &str) -> String {
        let lines: Vec<Vec<&str>> =
            text.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut aligned = String::with_capacity(text.len() * 2);
        let mut widths = Vec::new();
        self.format(&lines, &mut widths, &mut aligned);
        // The last line has no end: `split` gives an empty one after a final line end.
        aligned.pop();
        aligned
    }

    fn format(self, mut lines: &[Vec<&str>], widths: &mut Vec<usize>, aligned: &mut String) {
        let column = widths.len();
        let in_column = |line: &Vec<&str>| column + 1 < line.len();
        while !lines.is_empty() {
            let before = lines.iter().take_while(|line| !in_column(line)).count();
            let (outside, rest) = lines.split_at(before);
            write_lines(outside, widths, aligned);
            let length = rest.iter().take_while(|line| in_column(line)).count();
            let (block, rest) = rest.split_at(length);
            lines = rest;
            if let Some(widest) =
                block.iter().filter_map(|line| line.get(column)).map(|cell| cell.width()).max()
            {
                widths.push(self.min_width.max(widest + self.padding));
                self.format(block, widths, aligned);
                widths.pop();
            }
        }
    }
}

fn write_lines(lines: &[Vec<&str>], widths: &[usize], aligned: &mut String) {
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            aligned.push_str(cell);
            if let Some(width) = widths.get(column) {
                aligned.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
            }
        }
        aligned.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = "CONTAINER ID\tIMAGE\tNAMES\n0123456789ab\tbusybox\tquick\na\tb\tc\n";
        assert_eq!(
            Layout::LIST.align(text),
            "CONTAINER ID   IMAGE     NAMES\n\
             0123456789ab   busybox   quick\n\
             a              b         c\n"
        );
    }

    #[test]
    fn a_column_ends_with_the_run_of_lines_that_have_it() {
        let layout = Layout { min_width: 0, padding: 1 };
        assert_eq!(
            layout.align("aaaa\tbbb\td\naa\tb\tdd\na\t\naa\tcccc\teee\n"),
            "aaaa bbb d\naa   b   dd\na    \naa   cccc eee\n"
        );
    }

    #[test]
    fn wide_characters_take_two_places() {
        assert_eq!(
            Layout { min_width: 0, padding: 1 }.align("日本\tx\nabcde\ty\n"),
            "日本  x\nabcde y\n"
        );
    }

    #[test]
    fn text_without_tabs_is_unchanged() {
        assert_eq!(Layout::LIST.align("one\ntwo\n"), "one\ntwo\n");
        assert_eq!(Layout::LIST.align("\n"), "\n");
    }
}
