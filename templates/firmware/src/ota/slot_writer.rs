//! Bytes of an image on their way into a slot: hashed, collected into sectors, erased for ahead.

use alloc::boxed::Box;

use embedded_storage::nor_flash::NorFlash;
use sha2::{Digest, Sha256};

use super::install::InstallError;
use super::layout::Region;
use super::otadata::SECTOR;
use super::resume;

/// Flash chips erase 64 KiB at once in a third of the time that sixteen sectors take. Downloads
/// resume at the start of such a block.
const BLOCK: u32 = resume::STEP;

/// Collects bytes into sectors and writes them to a slot, erasing ahead of itself.
pub(super) struct SlotWriter {
    pub(super) region: Region,
    sha: Sha256,
    /// Bytes taken in.
    pub(super) received: u32,
    /// Bytes that are in flash.
    pub(super) written: u32,
    /// End of the erased part, counted from the start of the slot.
    erased: u32,
    sector: Box<Sector>,
    fill: usize,
}

impl SlotWriter {
    /// Begins at the start of a slot.
    pub(super) fn new(region: Region) -> Self {
        Self {
            region,
            sha: Sha256::new(),
            received: 0,
            written: 0,
            erased: 0,
            sector: Box::new(Sector([0xff; 4096])),
            fill: 0,
        }
    }

    /// Goes on after the first `bytes` of a slot, whole blocks that an earlier download left there.
    /// They are hashed as they stand in flash.
    pub(super) fn behind<F: NorFlash>(
        flash: &mut F,
        region: Region,
        bytes: u32,
    ) -> Result<Self, InstallError> {
        let mut writer =
            Self { received: bytes, written: bytes, erased: bytes, ..Self::new(region) };
        let mut at = region.start;
        let end = region.start.checked_add(bytes).ok_or(InstallError::Flash)?;
        while at < end {
            flash.read(at, &mut writer.sector.0).map_err(|_| InstallError::Flash)?;
            writer.sha.update(writer.sector.0);
            at = at.saturating_add(SECTOR);
        }
        writer.sector.0.fill(0xff);
        Ok(writer)
    }

    /// SHA-256 of all that was taken in.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.sha.clone().finalize().into()
    }

    /// Takes in the next bytes of the image.
    pub(super) fn push<F: NorFlash>(
        &mut self,
        flash: &mut F,
        bytes: &[u8],
    ) -> Result<(), InstallError> {
        self.sha.update(bytes);
        let len = u32::try_from(bytes.len()).map_err(|_| InstallError::Length)?;
        self.received = self.received.checked_add(len).ok_or(InstallError::Length)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.sector.0.get_mut(self.fill..).ok_or(InstallError::Flash)?;
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.fill = self.fill.saturating_add(now.len());
            rest = later;
            if self.fill == self.sector.0.len() {
                self.flush(flash)?;
            }
        }
        Ok(())
    }

    /// Writes what is collected; the rest of a last, short sector stays erased.
    pub(super) fn flush<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), InstallError> {
        if self.fill == 0 {
            return Ok(());
        }
        let len = self.fill.checked_next_multiple_of(F::WRITE_SIZE.max(1));
        let bytes = len.and_then(|len| self.sector.0.get(..len)).ok_or(InstallError::Flash)?;
        let count = u32::try_from(bytes.len()).map_err(|_| InstallError::Flash)?;
        let end = self.written.checked_add(count).ok_or(InstallError::Flash)?;
        while self.erased < end {
            let to = self.erased.saturating_add(BLOCK).min(self.region.len);
            erase(flash, self.region, self.erased, to)?;
            self.erased = to;
        }
        let at = self.region.start.checked_add(self.written).ok_or(InstallError::Flash)?;
        flash.write(at, bytes).map_err(|_| InstallError::Flash)?;
        self.written = end;
        self.sector.0.fill(0xff);
        self.fill = 0;
        Ok(())
    }
}

/// Erases a part of a slot, unless it is erased already: reading is a hundred times faster.
fn erase<F: NorFlash>(
    flash: &mut F,
    region: Region,
    from: u32,
    to: u32,
) -> Result<(), InstallError> {
    let start = region.start.checked_add(from).ok_or(InstallError::Flash)?;
    let end = region.start.checked_add(to).ok_or(InstallError::Flash)?;
    let mut buf = Piece([0; 512]);
    let mut at = start;
    while at < end {
        flash.read(at, &mut buf.0).map_err(|_| InstallError::Flash)?;
        if buf.0.iter().any(|byte| *byte != 0xff) {
            return flash.erase(start, end).map_err(|_| InstallError::Flash);
        }
        at = at.saturating_add(512);
    }
    Ok(())
}

/// One flash sector, word-aligned, so that esp-storage needs no bounce buffer.
#[repr(C, align(4))]
pub(super) struct Sector(pub(super) [u8; 4096]);

#[repr(C, align(4))]
struct Piece([u8; 512]);

const _: () = assert!(SECTOR == 4096);
