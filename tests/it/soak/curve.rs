//! What a process holds, from time to time.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// One look.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    /// Memory that is resident, in KiB.
    resident_kib: u64,
    /// Open files, sockets among them.
    descriptors: u64,
    /// The database with its log, in KiB.
    database_kib: u64,
    /// All else in the data directory: compiled code and objects, in KiB.
    files_kib: u64,
}

/// Looks, one after another.
#[derive(Debug, Default)]
pub(crate) struct Curve(Vec<Look>);

/// What is looked at.
struct Column {
    name: &'static str,
    /// What it may grow by whatever it was before, in its unit.
    slack: u64,
    of: fn(&Look) -> u64,
}

const COLUMNS: [Column; 4] = [
    Column { name: "resident KiB", slack: 32 << 10, of: |look| look.resident_kib },
    Column { name: "descriptors", slack: 16, of: |look| look.descriptors },
    Column { name: "database KiB", slack: 16 << 10, of: |look| look.database_kib },
    Column { name: "other files KiB", slack: 1 << 10, of: |look| look.files_kib },
];

impl Curve {
    /// Looks at a process and its data directory.
    pub(crate) fn add(&mut self, at: Duration, pid: u32, data_dir: &Path) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is ours").count();
        let [database, files] = bytes_below(data_dir);
        self.0.push(Look {
            at,
            resident_kib: resident.expect("the kernel says it"),
            descriptors: descriptors as u64,
            database_kib: database >> 10,
            files_kib: files >> 10,
        });
    }

    /// Holds the last quarter against the second one, the first being the time to warm up: in the middle of each, nothing may have grown by more
    /// than a tenth and a little.
    pub(crate) fn levels_off(&self) -> Result<(), String> {
        let quarter = self.0.len() / 4;
        let middle = |looks: &[Look], of: fn(&Look) -> u64| {
            let mut values: Vec<u64> = looks.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        for Column { name, slack, of } in COLUMNS {
            let before = middle(&self.0[quarter..2 * quarter], of);
            let after = middle(&self.0[3 * quarter..], of);
            if after > before + before / 10 + slack {
                return Err(format!("{name} grew from {before} to {after}\n{self}"));
            }
        }
        Ok(())
    }
}

/// Bytes of a folder's files: those of the database, and all others. What is gone by the time it is looked at takes no room.
fn bytes_below(folder: &Path) -> [u64; 2] {
    let mut sums = [0, 0];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let bytes = match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_below(&entry.path()),
            Ok(data) if entry.file_name().to_string_lossy().contains(".db") => [data.len(), 0],
            Ok(data) => [0, data.len()],
            Err(_) => [0, 0],
        };
        sums = [sums[0] + bytes[0], sums[1] + bytes[1]];
    }
    sums
}

impl fmt::Display for Curve {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>8}", "s")?;
        for Column { name, .. } in COLUMNS {
            write!(out, "{name:>17}")?;
        }
        // A table of twenty lines shows the form of the curve.
        for look in self.0.iter().step_by((self.0.len() / 20).max(1)) {
            write!(out, "\n{:>8.1}", look.at.as_secs_f64())?;
            for Column { of, .. } in COLUMNS {
                write!(out, "{:>17}", of(look))?;
            }
        }
        Ok(())
    }
}
