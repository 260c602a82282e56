//! The one place of this crate that looks at the clock and draws chance.

use jiff::Timestamp;

/// The time of a record that is written now, or of a check against an expiry.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The same in milliseconds since the Unix epoch, for the frozen clock of guests.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// Chance that nobody can foresee.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's random source works on every machine that got as far as TLS or a listener");
    bytes
}

/// An id of something that is listed; ids sort by the time they were made.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
