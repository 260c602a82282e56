//! The log of one invocation: bounded, and honest about what it dropped.

use jiff::Timestamp;
use snaphook_model::{LogEntry, LogLevel};

/// Lines beyond one per so many bytes of the limit are dropped too: an empty line costs us memory as well.
const BYTES_PER_ENTRY: usize = 16;
/// Lines that a small limit allows all the same.
const MIN_ENTRIES: usize = 64;

/// Collects lines until the limit is reached, then counts.
pub(crate) struct Log {
    entries: Vec<LogEntry>,
    limit: usize,
    left: usize,
    dropped: u64,
}

impl Log {
    /// An empty log that keeps at most `limit` bytes of text.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), limit, left: limit, dropped: 0 }
    }

    /// Bytes of text that would still be kept.
    pub(crate) fn room(&self) -> usize {
        if self.entries.len() < self.limit / BYTES_PER_ENTRY + MIN_ENTRIES { self.left } else { 0 }
    }

    /// Appends a line, or what fits of it.
    pub(crate) fn push(&mut self, level: LogLevel, message: &str) {
        let end = message.floor_char_boundary(self.room());
        self.push_cut(level, &message[..end], message.len() - end);
    }

    /// Appends the front of a line that was cut to [`Self::room`] already, and counts the rest.
    pub(crate) fn push_cut(&mut self, level: LogLevel, kept: &str, dropped: usize) {
        let full = self.room() == 0;
        self.dropped += dropped as u64;
        // An empty line has no text to drop, so only its place counts.
        if kept.is_empty() && (full || dropped > 0) {
            return;
        }
        self.left = if dropped > 0 { 0 } else { self.left.saturating_sub(kept.len()) };
        self.entries.push(LogEntry { at: Timestamp::now(), level, message: kept.to_owned() });
    }

    /// Counts text that was dropped on its way here.
    pub(crate) const fn drop_bytes(&mut self, bytes: u64) {
        self.dropped += bytes;
    }

    /// The lines, and at their end how much is missing.
    pub(crate) fn finish(mut self) -> Vec<LogEntry> {
        if self.dropped > 0 {
            let message = format!("{} bytes of log text were dropped; the limit `log_bytes` is {}", self.dropped, self.limit);
            self.entries.push(LogEntry { at: Timestamp::now(), level: LogLevel::Warn, message });
        }
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::LogLevel;

    use super::Log;

    fn texts(log: Log) -> Vec<String> {
        log.finish().into_iter().map(|entry| entry.message).collect()
    }

    #[test]
    fn text_beyond_the_limit_is_counted() {
        let mut log = Log::new(8);
        log.push(LogLevel::Info, "12345");
        // Cut where a character begins: `é` has two bytes and only one of them would fit.
        log.push(LogLevel::Info, "78é");
        log.push(LogLevel::Info, "more");
        assert_eq!(texts(log), ["12345", "78", "6 bytes of log text were dropped; the limit `log_bytes` is 8"]);
    }

    #[test]
    fn a_flood_of_empty_lines_ends() {
        let mut log = Log::new(160);
        for _ in 0..1000 {
            log.push(LogLevel::Info, "");
        }
        assert_eq!(texts(log).len(), 74);
    }

    #[test]
    fn nothing_dropped_adds_no_line() {
        let mut log = Log::new(3);
        log.push(LogLevel::Info, "abc");
        assert_eq!(texts(log), ["abc"]);
    }
}
