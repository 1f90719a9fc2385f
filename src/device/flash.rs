//! Flash that is read and written from afar: over a cable, or in a dump.

use std::ops::Range;

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
    /// Erases from `offset` on. Both are multiples of [`SECTOR`].
    ///
    /// # Errors
    ///
    /// Where that is beyond the end, or the way to it broke. What is erased then is not known.
    fn erase(&mut self, offset: u32, length: u32) -> Result<(), DeviceError>;

    /// Erases the sectors that `bytes` reach into, and writes them from `offset` on, a multiple of
    /// [`SECTOR`]. What is behind them in the last sector is erased then. `told` is called with
    /// the bytes of `bytes` that are done.
    ///
    /// # Errors
    ///
    /// As above. What was written is to be compared by [`FlashReader::md5`].
    fn write(
        &mut self,
        offset: u32,
        bytes: &[u8],
        told: &mut dyn FnMut(u32),
    ) -> Result<(), DeviceError>;
}

/// Flash as it will be once a region is erased: what is decided can be decided before.
#[derive(Debug)]
pub struct Erased<'a, F: ?Sized> {
    flash: &'a mut F,
    region: Range<u32>,
}

impl<'a, F: FlashReader + ?Sized> Erased<'a, F> {
    /// `length` bytes from `offset` on are erased; none, for `None`.
    pub fn new(flash: &'a mut F, region: Option<(u32, u32)>) -> Self {
        let (offset, length) = region.unwrap_or_default();
        Self { flash, region: offset..offset.saturating_add(length) }
    }

    fn touches(&self, offset: u32, length: u32) -> bool {
        let end = offset.saturating_add(length);
        offset < self.region.end && self.region.start < end
    }
}

impl<F: FlashReader + ?Sized> FlashReader for Erased<'_, F> {
    fn size(&self) -> u32 {
        self.flash.size()
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        let end = offset.saturating_add(length);
        if self.region.start <= offset && end <= self.region.end && end <= self.size() {
            return Ok(vec![0xff; usize::try_from(length).unwrap_or(usize::MAX)]);
        }
        let mut bytes = self.flash.read(offset, length)?;
        for (at, byte) in (offset..).zip(&mut bytes) {
            if self.region.contains(&at) {
                *byte = 0xff;
            }
        }
        Ok(bytes)
    }

    fn md5(&mut self, offset: u32, length: u32) -> Result<[u8; 16], DeviceError> {
        if self.touches(offset, length) {
            Ok(Md5::digest(self.read(offset, length)?).into())
        } else {
            self.flash.md5(offset, length)
        }
    }
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
        let beyond = DeviceError::BeyondEnd { offset, length, size: self.size() };
        range(offset, length).and_then(|range| self.bytes.get(range)).ok_or(beyond)
    }

    fn slice_mut(&mut self, offset: u32, length: u32) -> Result<&mut [u8], DeviceError> {
        let beyond = DeviceError::BeyondEnd { offset, length, size: self.size() };
        range(offset, length).and_then(|range| self.bytes.get_mut(range)).ok_or(beyond)
    }
}

fn range(offset: u32, length: u32) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
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
    fn erase(&mut self, offset: u32, length: u32) -> Result<(), DeviceError> {
        self.slice_mut(offset, length)?.fill(0xff);
        Ok(())
    }

    fn write(
        &mut self,
        offset: u32,
        bytes: &[u8],
        told: &mut dyn FnMut(u32),
    ) -> Result<(), DeviceError> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let sectors = length.div_ceil(SECTOR).saturating_mul(SECTOR);
        let erased = bytes.iter().copied().chain(std::iter::repeat(0xff));
        let old = self.slice_mut(offset, sectors)?;
        old.iter_mut().zip(erased).for_each(|(old, new)| *old = new);
        told(length);
        Ok(())
    }
}
