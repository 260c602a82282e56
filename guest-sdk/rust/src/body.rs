//! A body that crosses into the guest only when it is read.

use std::cell::OnceCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, host};

/// The body of an input: fetched from the host at the first reading, never for hooks that do not read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    given: OnceCell<Vec<u8>>,
    /// The media type of a payload that stands in the body's place.
    own_type: OnceCell<Option<String>>,
    /// What the guest put in its place.
    pub(crate) replaced: Option<Vec<u8>>,
}

impl Body {
    /// A body that is known already; tests make inputs of it.
    pub(crate) fn known(bytes: Vec<u8>) -> Self {
        Self { given: OnceCell::from(bytes), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.replaced {
            Some(bytes) => bytes,
            None => self.given.get_or_init(host::body),
        }
    }

    pub(crate) fn own_type(&self) -> Option<&str> {
        self.own_type.get_or_init(host::payload_type).as_deref()
    }
}

/// Bytes as text.
///
/// # Errors
/// When they are not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    std::str::from_utf8(bytes)
}

/// Bytes as a value.
#[track_caller]
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

/// JSON text of a value that a test or a constructor gives; a map with keys that are no text is a mistake in the program itself.
pub(crate) fn json_of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the value serialises as JSON; maps have text keys")
}

/// The readers that every input with a body has.
macro_rules! readers {
    ($what:literal) => {
        #[doc = concat!($what, ", as bytes.")]
        #[must_use]
        pub fn bytes(&self) -> &[u8] {
            self.body.bytes()
        }

        #[doc = concat!($what, ", as text.")]
        ///
        /// # Errors
        /// When it is not UTF-8.
        #[track_caller]
        pub fn text(&self) -> $crate::Result<&str> {
            Ok($crate::body::text(self.body.bytes())?)
        }

        #[doc = concat!($what, ", read as JSON.")]
        ///
        /// # Errors
        /// When it is not JSON, or not of this type.
        #[track_caller]
        pub fn json<T: ::serde::de::DeserializeOwned>(&self) -> $crate::Result<T> {
            $crate::body::parse(self.body.bytes())
        }
    };
}
pub(crate) use readers;
