//! Messages that quote what was uploaded.

/// Enough for a person to recognise what is meant.
const MOST: usize = 600;

/// The front of a text, fit for an answer and a log: one line, without what a terminal would obey.
pub(crate) fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::{MOST, excerpt};

    #[test]
    fn excerpts_are_short_and_plain() {
        assert_eq!(excerpt("ä\x1b[31m\nb"), "ä [31m b");
        assert_eq!(excerpt(&"ö".repeat(MOST)).chars().count(), MOST);
        assert_eq!(excerpt(&"ö".repeat(MOST + 5)).chars().count(), MOST + 1);
    }
}
