//! Which of Burn's backends there are.

use core::fmt;
use core::str::FromStr;

#[cfg(feature = "ndarray")]
use burn::tensor::Device;

/// Which of Burn's CPU backends computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// `burn-flex`, the default: also runs without an operating system.
    #[default]
    Flex,
    /// `burn-ndarray`, deprecated upstream: an independent check of the numbers.
    #[cfg(feature = "ndarray")]
    NdArray,
}

impl Backend {
    /// Every backend that this program was built with.
    pub const ALL: &[Self] = &[
        Self::Flex,
        #[cfg(feature = "ndarray")]
        Self::NdArray,
    ];

    /// The backend's name: `flex` or `ndarray`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            #[cfg(feature = "ndarray")]
            Self::NdArray => "ndarray",
        }
    }
}

/// The Burn device of [`Backend::NdArray`].
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
pub(crate) fn ndarray() -> Device {
    Device::ndarray()
}

/// A backend name that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseBackendError;

impl fmt::Display for ParseBackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown backend; this program has")?;
        Backend::ALL.iter().try_for_each(|backend| write!(f, " {backend}"))
    }
}

impl core::error::Error for ParseBackendError {}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = ParseBackendError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|backend| backend.name() == text);
        found.copied().ok_or(ParseBackendError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_backend_is_read_back_from_its_name_and_others_are_refused() {
        for &backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        assert_eq!("cuda".parse::<Backend>(), Err(ParseBackendError));
        assert!(ParseBackendError.to_string().contains("flex"));
    }
}
