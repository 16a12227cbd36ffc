//! Additions to a message: numbered bytes at its end, which programs that do not know them skip.
//!
//! Numbers below [`REQUIRED`] are skipped by a reader that does not know them. From there on they
//! change what the message means: such a reader refuses the message, and passes a work item over.
//! This program knows one: [`FIT_EXTENSION`](crate::work::FIT_EXTENSION) of reports.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::limits::{EXTENSION_BYTES_MAX, EXTENSIONS_MAX};
use crate::wire::{self, WireError};

/// The first number that a reader must know.
pub const REQUIRED: u8 = 128;

/// One addition: bytes, and a number that says what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// What it is; below [`REQUIRED`] a reader may skip it.
    pub number: u8,
    /// What it says, at most [`EXTENSION_BYTES_MAX`] bytes.
    pub bytes: Vec<u8>,
}

/// The additions of one message: at most [`EXTENSIONS_MAX`], numbers rising.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions(
    #[serde(deserialize_with = "wire::take_list::<EXTENSIONS_MAX, _, _>")] pub Vec<Extension>,
);

impl Extensions {
    /// The empty list.
    pub const NONE: Self = Self(Vec::new());

    /// The bytes of the addition with this number.
    pub fn get(&self, number: u8) -> Option<&[u8]> {
        let found = self.0.iter().find(|extension| extension.number == number)?;
        Some(&found.bytes)
    }

    /// The first addition that a reader must know and this program does not.
    pub fn unknown(&self) -> Option<u8> {
        self.0.iter().map(|extension| extension.number).find(|number| *number >= REQUIRED)
    }

    /// Checks number, order and lengths.
    ///
    /// # Errors
    /// [`WireError::Invalid`] names the rule.
    pub(crate) fn check_form(&self) -> Result<(), WireError> {
        let rising = self.0.windows(2).all(|two| two[0].number < two[1].number);
        let fits = self.0.iter().all(|extension| extension.bytes.len() <= EXTENSION_BYTES_MAX);
        if self.0.len() <= EXTENSIONS_MAX && rising && fits {
            Ok(())
        } else {
            Err(WireError::Invalid("at most 8 extensions of 1024 bytes, numbers rising"))
        }
    }

    /// Checks form, and that there is nothing that this program must know and does not.
    ///
    /// # Errors
    /// [`WireError::Invalid`] or [`WireError::Extension`].
    pub(crate) fn check(&self) -> Result<(), WireError> {
        self.check_form()?;
        self.unknown().map_or(Ok(()), |number| Err(WireError::Extension { number }))
    }
}
