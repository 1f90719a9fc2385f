//! Reads an app image from memory with the code that reads it on the device.

use embedded_storage::nor_flash::{ErrorType, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use crate::agent::image::{self, ImageError, ImageInfo};
use crate::agent::layout::Region;
use crate::chip::Chip;

/// Bytes in memory, read like flash.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

/// A read beyond the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondEnd;

impl NorFlashError for BeyondEnd {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Bytes<'_> {
    type Error = BeyondEnd;
}

impl ReadNorFlash for Bytes<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), BeyondEnd> {
        let start = usize::try_from(offset).map_err(|_| BeyondEnd)?;
        let end = start.checked_add(bytes.len()).ok_or(BeyondEnd)?;
        bytes.copy_from_slice(self.0.get(start..end).ok_or(BeyondEnd)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

/// Verifies an image file. Trailing bytes after the image are not looked at.
pub fn read(bytes: &[u8], chip: Option<Chip>) -> Result<ImageInfo, ImageError> {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    image::verify(&mut Bytes(bytes), Region { start: 0, len }, chip.map(Chip::image_id))
}
