//! Line and column of a byte offset.

/// Line and column, from 1, as the interpreter counts them too: a line ends at `\n`, a column is a character.
pub(super) fn position(source: &str, offset: usize) -> (u32, u32) {
    let offset = source.floor_char_boundary(offset);
    let before = &source[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    (number(line), number(column))
}

/// Lines of a text, to turn many columns that count UTF-16 units into columns that count characters. None where the two are the same.
pub(super) struct Lines<'s>(Vec<Option<&'s str>>);

/// Counting is work for each column; in lines beyond this, which no person reads, columns stay as they are.
const MAX_LINE: usize = 16 << 10;

impl<'s> Lines<'s> {
    pub(super) fn of(text: &'s str) -> Self {
        Self(text.split('\n').map(|line| Some(line).filter(|line| line.len() <= MAX_LINE && !line.is_ascii())).collect())
    }

    /// The column in characters of a column in UTF-16 units; line and both columns from 0.
    pub(super) fn column(&self, line: u32, utf16: u32) -> u32 {
        let Some(text) = self.0.get(line as usize).copied().flatten() else { return utf16 };
        let mut left = utf16 as usize;
        let before = text.chars().take_while(|c| {
            let taken = left > 0;
            left = left.saturating_sub(c.len_utf16());
            taken
        });
        number(before.count())
    }
}

/// Sources are bounded far below four gigabytes; a larger number would only be a wrong position.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Lines, position};

    #[test]
    fn positions_count_characters() {
        let source = "a\r\nä𝒳b\nc";
        assert_eq!(position(source, 0), (1, 1));
        assert_eq!(position(source, 3), (2, 1));
        assert_eq!(position(source, source.find('b').unwrap()), (2, 3));
        assert_eq!(position(source, source.len() + 9), (3, 2));
        let lines = Lines::of(source);
        assert_eq!(lines.column(1, 0), 0);
        assert_eq!(lines.column(1, 3), 2);
        assert_eq!(lines.column(7, 4), 4);
    }
}
