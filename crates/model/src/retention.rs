//! How long what runs leave behind is kept.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{BodyText, Invalid, RunRecord};

/// Ten years: longer than anybody has to keep such things, and far from where times end.
const MOST_S: u32 = 315_360_000;

/// How long what a run leaves behind is kept, counted from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The run's record with its logs, in seconds. After it nothing of the run is left.
    pub logs_s: u32,
    /// Bodies of requests and responses, and what a replay and a repeated run need, in seconds.
    pub payloads_s: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { logs_s: 7 * 24 * 3600, payloads_s: 72 * 3600 }
    }
}

impl Retention {
    /// When the payloads of a run go that ended then.
    #[must_use]
    pub fn payloads_until(&self, ended_at: Timestamp) -> Timestamp {
        after(ended_at, self.payloads_s.min(self.logs_s))
    }

    /// When all the rest goes.
    #[must_use]
    pub fn logs_until(&self, ended_at: Timestamp) -> Timestamp {
        after(ended_at, self.logs_s)
    }
}

fn after(time: Timestamp, seconds: u32) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
}

/// The same as a tenant's or a flow's document says it: what is absent is as it is around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of `Retention` with the same name")]
pub struct RetentionDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payloads_s: Option<u32>,
}

impl RetentionDocument {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.logs_s.is_none() && self.payloads_s.is_none()
    }

    /// What holds where `around` holds around it.
    #[must_use]
    pub fn applied(&self, around: Retention) -> Retention {
        Retention { logs_s: self.logs_s.unwrap_or(around.logs_s), payloads_s: self.payloads_s.unwrap_or(around.payloads_s) }
    }

    pub(crate) fn check(&self, path: &str) -> Result<(), Invalid> {
        check_seconds(path, "logs_s", self.logs_s, 1)?;
        // Payloads may be kept for no time at all: they are not recorded then.
        check_seconds(path, "payloads_s", self.payloads_s, 0)
    }
}

/// How long things of a tenant are kept, as its document says it: what its runs leave behind, and the records of its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the first two fields are those of `Retention` with the same names")]
pub struct TenantRetention {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payloads_s: Option<u32>,
    /// Records of changes, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_s: Option<u32>,
}

impl TenantRetention {
    /// A year: who looks for the change that broke something looks no further back, and it is what auditors ask for.
    pub const USUAL_AUDIT_S: u32 = 365 * 24 * 3600;

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.logs_s.is_none() && self.payloads_s.is_none() && self.audit_s.is_none()
    }

    /// What holds for its runs.
    #[must_use]
    pub fn of_runs(&self) -> Retention {
        self.runs().applied(Retention::default())
    }

    /// How long records of changes are kept, in seconds.
    #[must_use]
    pub fn audit_s(&self) -> u32 {
        self.audit_s.unwrap_or(Self::USUAL_AUDIT_S)
    }

    const fn runs(&self) -> RetentionDocument {
        RetentionDocument { logs_s: self.logs_s, payloads_s: self.payloads_s }
    }

    pub(crate) fn check(&self, path: &str) -> Result<(), Invalid> {
        self.runs().check(path)?;
        check_seconds(path, "audit_s", self.audit_s, 1)
    }
}

fn check_seconds(path: &str, field: &str, seconds: Option<u32>, least: u32) -> Result<(), Invalid> {
    match seconds.filter(|seconds| !(least..=MOST_S).contains(seconds)) {
        Some(seconds) => Err(Invalid::new(format!("{path}.{field}"), format!("{seconds} is not between {least} and {MOST_S}"))),
        None => Ok(()),
    }
}

impl RunRecord {
    /// Puts a note of their size in the place of all bodies, and notes that they are gone.
    pub fn forget_payloads(&mut self) {
        self.payloads_removed = true;
        for attempt in self.steps.iter_mut().flat_map(|step| &mut step.attempts) {
            let request = attempt.request.as_mut().map(|request| &mut request.body);
            let response = attempt.response.as_mut().map(|response| &mut response.body);
            for body in request.into_iter().chain(response).filter(|body| !body.0.is_empty()) {
                *body = BodyText(format!("[removed, {} bytes]", body.0.len()).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Retention, RetentionDocument, TenantRetention};

    #[test]
    fn what_a_document_says_stands_over_what_is_around_it() {
        let usual = Retention::default();
        assert_eq!((usual.logs_s, usual.payloads_s), (604_800, 259_200));
        let tenants = RetentionDocument { logs_s: Some(100), payloads_s: None };
        let flows = RetentionDocument { logs_s: None, payloads_s: Some(10) };
        assert_eq!(flows.applied(tenants.applied(usual)), Retention { logs_s: 100, payloads_s: 10 });
        assert!(tenants.check("retention").is_ok());
        let wrong = RetentionDocument { logs_s: None, payloads_s: Some(u32::MAX) }.check("record").unwrap_err();
        assert_eq!(wrong.path, "record.payloads_s");
        let wrong = RetentionDocument { logs_s: Some(0), payloads_s: Some(0) }.check("record").unwrap_err();
        assert_eq!((wrong.path.as_str(), wrong.detail.as_str()), ("record.logs_s", "0 is not between 1 and 315360000"));
        let wrong = TenantRetention { audit_s: Some(0), ..TenantRetention::default() }.check("retention").unwrap_err();
        assert_eq!(wrong.path, "retention.audit_s");
        assert_eq!(TenantRetention::default().audit_s(), 31_536_000);
        let ended = jiff::Timestamp::UNIX_EPOCH;
        let short = tenants.applied(usual);
        assert_eq!(short.payloads_until(ended), short.logs_until(ended), "payloads go with the record at the latest");
        assert_eq!(Retention { logs_s: 1, payloads_s: 1 }.logs_until(jiff::Timestamp::MAX), jiff::Timestamp::MAX);
    }
}
