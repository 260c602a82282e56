//! How long a caller would wait: the header `Prefer` (RFC 7240).

use std::time::Duration;

use http::HeaderMap;
use snaphook_model::Invalid;

/// Longest wait that a caller can ask for. Balancers and clients commonly give up after this.
const MOST: Duration = Duration::from_secs(30);

/// What a caller prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefer {
    /// Nothing said: until the run has ended, or begins to wait.
    End,
    /// Not at all.
    RespondAsync,
    /// So long, also while the run waits.
    Wait(Duration),
}

impl Prefer {
    /// Reads the header; preferences that are not known are none.
    ///
    /// # Errors
    /// `wait` without a whole number of seconds.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Invalid> {
        let given = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut prefer = Self::End;
        for preference in given.flat_map(|value| value.split(',')).map(str::trim) {
            let (name, value) = preference.split_once('=').map_or((preference, None), |(name, value)| (name.trim(), Some(value.trim())));
            if name.eq_ignore_ascii_case("respond-async") {
                return Ok(Self::RespondAsync);
            }
            if name.eq_ignore_ascii_case("wait") {
                let seconds = value.map(|value| value.trim_matches('"')).and_then(|value| value.parse().ok());
                let seconds = seconds.ok_or_else(|| Invalid::new("prefer", "`wait` takes a whole number of seconds, such as `wait=10`"))?;
                prefer = Self::Wait(Duration::from_secs(seconds).min(MOST));
            }
        }
        Ok(prefer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_as_the_rfc_writes_them() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", http::HeaderValue::from_static(text));
            Prefer::of(&headers)
        };
        let wait = |seconds| Ok(Prefer::Wait(Duration::from_secs(seconds)));
        assert_eq!(Prefer::of(&HeaderMap::new()), Ok(Prefer::End));
        assert_eq!(of("handling=lenient"), Ok(Prefer::End));
        assert_eq!(of("Respond-Async"), Ok(Prefer::RespondAsync));
        assert_eq!(of("respond-async, wait=10"), Ok(Prefer::RespondAsync));
        assert_eq!(of("wait = 10"), wait(10));
        assert_eq!(of("wait=\"7\""), wait(7));
        assert_eq!(of("wait=3600"), wait(30));
        for wrong in ["wait", "wait=", "wait=1.5", "wait=-1", "wait=soon"] {
            assert_eq!(of(wrong).unwrap_err().path, "prefer", "{wrong}");
        }
    }
}
