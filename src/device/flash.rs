//! Flash that is read and written from afar: over a cable, or in a dump.

use md5::{Digest, Md5};

use super::DeviceError;

/// Bytes that flash is erased in.
pub const SECTOR: u32 = 4096;

/// Flash that can be read.
pub trait FlashReader {
    /// Bytes of the flash chip.
    fn size(&self) -> u32;

    /// Reads `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// Where they are not all there, or the way to them broke.
    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError>;

    /// MD5 of a region, worked out where the flash is.
    fn md5(&mut self, offset: u32, length: u32) -> Result<[u8; 16], DeviceError>;
}

/// Flash that can be changed, too.
pub trait FlashWriter: FlashReader {
    /// Erases the sector at `offset`, a multiple of [`SECTOR`], and writes `bytes`, at most a
    /// sector, at its begin. The rest of the sector is erased then.
    fn write_sector(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DeviceError>;
}

/// A dump of a whole flash chip.
#[derive(Clone, Debug)]
pub struct Dump {
    bytes: Vec<u8>,
}

impl Dump {
    /// These bytes, from offset 0 on.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Everything.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn slice(&self, offset: u32, length: u32) -> Result<&[u8], DeviceError> {
        let beyond = || DeviceError::BeyondEnd { offset, length, size: self.size() };
        let start = usize::try_from(offset).map_err(|_| beyond())?;
        let length = usize::try_from(length).map_err(|_| beyond())?;
        start.checked_add(length).and_then(|end| self.bytes.get(start..end)).ok_or_else(beyond)
    }
}

impl FlashReader for Dump {
    fn size(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        Ok(self.slice(offset, length)?.to_vec())
    }

    fn md5(&mut self, offset: u32, length: u32) -> Result<[u8; 16], DeviceError> {
        Ok(Md5::digest(self.slice(offset, length)?).into())
    }
}

impl FlashWriter for Dump {
    fn write_sector(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DeviceError> {
        self.slice(offset, SECTOR)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let sector = self.bytes.get_mut(start..).unwrap_or_default();
        let erased = bytes.iter().copied().chain(std::iter::repeat(0xff));
        sector.iter_mut().take(4096).zip(erased).for_each(|(old, new)| *old = new);
        Ok(())
    }
}
