//! The run's log. Text beyond the limit `log_bytes` is dropped and counted, which is no fault.

use crate::host;

/// Levels of the run's log, from the least to the most urgent but for `Metric`, which stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// A measured value.
    Metric,
    /// Every detail.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// What happens.
    Info,
    /// What `console.log` writes.
    Log,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

/// Appends to the log at a level.
pub fn write(level: Level, message: impl AsRef<str>) {
    host::log(level, message.as_ref());
}

macro_rules! levels {
    ($($name:ident $level:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name(message: impl AsRef<str>) {
            write(Level::$level, message);
        }
    )*};
}

levels! {
    metric Metric "Appends a measured value.";
    trace Trace "Appends at level trace.";
    debug Debug "Appends at level debug.";
    info Info "Appends at level info.";
    warn Warn "Appends at level warn.";
    error Error "Appends at level error.";
}
