//! Places where a script may act.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place where a script may act; `step` is a script step of a flow, `trigger` what begins a run of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the crate's readers know the hooks by name; `flow-format` has a table of them")]
pub enum Hook {
    PreHook,
    PreRequest,
    PostRequest,
    PostHook,
    PostFail,
    Step,
    Trigger,
}

impl Hook {
    /// All hooks: those of a call in the order in which it meets them, then those of a flow.
    pub const ALL: [Self; 7] =
        [Self::PreHook, Self::PreRequest, Self::PostRequest, Self::PostHook, Self::PostFail, Self::Step, Self::Trigger];

    /// The hook's name in documents, in the WIT world and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreHook => "pre-hook",
            Self::PreRequest => "pre-request",
            Self::PostRequest => "post-request",
            Self::PostHook => "post-hook",
            Self::PostFail => "post-fail",
            Self::Step => "step",
            Self::Trigger => "trigger",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Hook {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|hook| hook.as_str() == text).ok_or_else(|| format!("`{text}` is no hook; there are {}", known()))
    }
}

impl Serialize for Hook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Hook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The hooks that a script version has, as a set of bits: bit 0 is `pre-hook`, in the order of [`Hook::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HookSet(u8);

impl HookSet {
    /// The set with these bits; bits that stand for no hook are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b111_1111)
    }

    /// The set as bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the hook is in the set.
    #[must_use]
    pub const fn contains(self, hook: Hook) -> bool {
        self.0 & hook.bit() != 0
    }

    /// Whether no hook is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The hooks in the set, in the order of [`Hook::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.contains(*hook))
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<T: IntoIterator<Item = Hook>>(hooks: T) -> Self {
        Self(hooks.into_iter().fold(0, |bits, hook| bits | hook.bit()))
    }
}

impl Serialize for HookSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for HookSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Hook>::deserialize(deserializer)?.into_iter().collect())
    }
}
