//! This process, as the kernel sees it: proc(5).

use std::fs;
use std::sync::{Mutex, PoisonError};

use crate::table::Metrics;

/// Times of processes are told in hundredths of a second, on every processor.
const TICKS: u64 = 100;

/// Processor time that has been counted, in seconds. Held while somebody reads, so that two who scrape at once do not count the same twice.
static COUNTED: Mutex<u64> = Mutex::new(0);

/// Reads the figures anew. What the kernel does not tell stays as it was.
pub(crate) fn observe(metrics: &Metrics) {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let status = read("/proc/self/status");
    if let Some(kilobytes) = number_after(&status, "VmRSS:") {
        metrics.process_memory.set([], kilobytes << 10);
    }
    if let Some(threads) = number_after(&status, "Threads:") {
        metrics.process_threads.set([], threads);
    }
    if let Some(times) = Times::of(&read("/proc/self/stat")) {
        let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
        let had = (times.had / TICKS).max(*counted);
        metrics.process_cpu.add([], had - *counted);
        *counted = had;
        if let Some(boot) = number_after(&read("/proc/stat"), "btime") {
            metrics.process_start.set([], boot + times.started / TICKS);
        }
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // Looking takes one itself.
        metrics.process_fds.set([], (files.count() as u64).saturating_sub(1));
    }
    if let Some(most) = number_after(&read("/proc/self/limits"), "Max open files") {
        metrics.process_max_fds.set([], most);
    }
}

/// The first number of the line that begins with a word.
fn number_after(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word))?.split_whitespace().next()?.parse().ok()
}

/// Of `/proc/self/stat`, in ticks.
struct Times {
    /// Of the processor.
    had: u64,
    /// After the machine.
    started: u64,
}

impl Times {
    /// The name of the program, which comes second, may have any characters in it.
    fn of(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // What is left begins with the third field.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { had: field(14)? + field(15)?, started: field(22)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Times, number_after};

    #[test]
    fn figures_are_found() {
        assert_eq!(number_after("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(number_after("Max open files            1024                 4096  files", "Max open files"), Some(1024));
        assert_eq!(number_after("Max open files unlimited", "Max open files"), None);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 777 1000 200 18446744073709551615";
        let times = Times::of(stat).unwrap();
        assert_eq!((times.had, times.started), (300, 777));
        assert!(Times::of("").is_none() && Times::of("7 (a) S 1").is_none());
    }
}
