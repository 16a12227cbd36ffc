//! A table of whole numbers: exact, in any order of arrival.

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::combine::{CombineError, Figures};

/// Sums of whole numbers over the devices of one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    devices: u32,
    values: Vec<i128>,
}

impl Table {
    /// An empty table of `len` numbers; the first counts windows.
    pub fn new(len: usize) -> Self {
        Self { devices: 0, values: vec![0; len] }
    }

    /// Devices that were added.
    pub fn devices(&self) -> u32 {
        self.devices
    }

    /// The sums, in the order of the work's vector; the first counts windows.
    pub fn values(&self) -> &[i128] {
        &self.values
    }

    /// Adds one device's numbers; all of them or none.
    ///
    /// # Errors
    /// [`CombineError::Mismatch`] for another length, [`CombineError::Overflow`] beyond 128 bits.
    pub fn add(&mut self, values: &[i128]) -> Result<(), CombineError> {
        if values.len() != self.values.len() {
            return Err(CombineError::Mismatch);
        }
        let sums = self.values.iter().zip(values).map(|(sum, value)| sum.checked_add(*value));
        let sums: Option<Vec<i128>> = sums.collect();
        let devices = self.devices.checked_add(1);
        let (Some(sums), Some(devices)) = (sums, devices) else {
            return Err(CombineError::Overflow);
        };
        (self.values, self.devices) = (sums, devices);
        Ok(())
    }

    /// Devices, each of weight 1, and their windows; there are no losses.
    pub(super) fn figures(&self) -> Figures {
        let windows = self.values.first().and_then(|windows| u64::try_from(*windows).ok());
        let updates = u64::from(self.devices);
        Figures { updates, weight: updates, examples: windows.unwrap_or(0), ..Figures::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_add_up_and_an_overflow_or_another_length_changes_nothing() {
        let mut table = Table::new(2);
        table.add(&[3, -5]).unwrap();
        table.add(&[4, i128::MIN + 5]).unwrap();
        assert_eq!((table.values(), table.devices()), (&[7, i128::MIN][..], 2));
        let before = table.clone();
        assert_eq!(table.add(&[1, -1]), Err(CombineError::Overflow));
        assert_eq!(table.add(&[1]), Err(CombineError::Mismatch));
        assert_eq!(table, before);
        assert_eq!((table.figures().updates, table.figures().examples), (2, 7));
    }
}
