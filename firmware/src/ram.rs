//! Flash in memory, for tests.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Flash that loses its power after some bytes.
pub(crate) struct Ram<'a> {
    pub(crate) bytes: &'a mut [u8],
    pub(crate) left: usize,
}

#[derive(Debug)]
pub(crate) struct Dead;

impl NorFlashError for Dead {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}
impl ErrorType for Ram<'_> {
    type Error = Dead;
}
impl ReadNorFlash for Ram<'_> {
    const READ_SIZE: usize = 4;
    fn read(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Dead> {
        assert!(offset.is_multiple_of(4) && out.len().is_multiple_of(4));
        out.copy_from_slice(&self.bytes[offset as usize..][..out.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}
impl NorFlash for Ram<'_> {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 256;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Dead> {
        for at in from as usize..to as usize {
            self.left = self.left.checked_sub(1).ok_or(Dead)?;
            self.bytes[at] = 0xff;
        }
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Dead> {
        assert!(offset.is_multiple_of(8) && bytes.len().is_multiple_of(8));
        for (at, byte) in bytes.iter().enumerate() {
            self.left = self.left.checked_sub(1).ok_or(Dead)?;
            self.bytes[offset as usize + at] &= byte;
        }
        Ok(())
    }
}
