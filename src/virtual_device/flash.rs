//! Flash that behaves like the NOR chips beside an ESP32, power cuts included.
//!
//! Erasing sets the bits of whole sectors, programming only clears bits, a page at a time. Every
//! sector erase and every page program is one *operation*; the power can be cut before, inside or
//! after any of them. Alignment is enforced as esp-storage does it.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a sector, the smallest erase.
pub const SECTOR: usize = 4096;
/// Bytes of a page, the largest program operation of SPI NOR flash.
const PAGE: usize = 256;
/// Alignment of reads and writes: one word, as esp-storage has it.
const WORD: usize = 4;

/// Where in an operation the power goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The operation does not begin.
    Before,
    /// A torn erase leaves any mix of old and 1 bits, a torn program any subset of cleared bits.
    Inside,
    /// The operation completes, nothing after it does.
    After,
}

/// One planned power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The operation it hits, counted from 0 since the flash was made.
    pub operation: u64,
    /// Where in the operation.
    pub moment: Moment,
    /// Seed for what a torn operation leaves behind.
    pub seed: u64,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlashFault {
    /// The power is off.
    #[error("the power is off")]
    PowerOff,
    /// Offset or length is not aligned.
    #[error("access is not aligned")]
    NotAligned,
    /// The access leaves the chip.
    #[error("access beyond the end of flash")]
    OutOfBounds,
}

impl NorFlashError for FlashFault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::PowerOff => NorFlashErrorKind::Other,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
        }
    }
}

/// The chip. Its contents survive power cuts.
#[derive(Clone, Debug)]
pub struct VirtualFlash {
    bytes: Vec<u8>,
    erases: Vec<u32>,
    operations: u64,
    cut: Option<Cut>,
    powered: bool,
}

impl VirtualFlash {
    /// Erased flash. `size` is in bytes and rounded up to whole sectors.
    pub fn new(size: usize) -> Self {
        Self::with_contents(vec![0xff; size])
    }

    /// Flash that holds a dump. A last, incomplete sector is filled with erased bytes.
    pub fn with_contents(mut bytes: Vec<u8>) -> Self {
        let sectors = bytes.len().div_ceil(SECTOR);
        bytes.resize(sectors.saturating_mul(SECTOR), 0xff);
        Self { bytes, erases: vec![0; sectors], operations: 0, cut: None, powered: true }
    }

    /// All bytes, as a dump over the cable would give them.
    pub fn contents(&self) -> &[u8] {
        &self.bytes
    }

    /// Erases and page programs so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Erases of each sector.
    pub fn erases(&self) -> &[u32] {
        &self.erases
    }

    /// Plans a power cut.
    pub fn cut_at(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// Whether the power is on.
    pub fn is_powered(&self) -> bool {
        self.powered
    }

    /// Switches the power on again, with no cut planned.
    pub fn power_on(&mut self) {
        self.powered = true;
        self.cut = None;
    }

    /// Runs one operation on `span`: `apply` gives the new value of each byte from its old value
    /// and its index. The planned cut strikes here.
    fn operate(
        &mut self,
        start: usize,
        len: usize,
        apply: impl Fn(u8, usize) -> u8,
    ) -> Result<(), FlashFault> {
        if !self.powered {
            return Err(FlashFault::PowerOff);
        }
        let cut = self.cut.filter(|cut| cut.operation == self.operations);
        self.operations = self.operations.saturating_add(1);
        let end = start.checked_add(len).ok_or(FlashFault::OutOfBounds)?;
        let span = self.bytes.get_mut(start..end).ok_or(FlashFault::OutOfBounds)?;
        let mut noise = cut.filter(|cut| cut.moment == Moment::Inside).map(|cut| Noise(cut.seed));
        if cut.is_none_or(|cut| cut.moment != Moment::Before) {
            for (index, byte) in span.iter_mut().enumerate() {
                let new = apply(*byte, index);
                // Each bit that would change does so or not.
                let changed = (*byte ^ new) & noise.as_mut().map_or(0xff, Noise::next);
                *byte ^= changed;
            }
        }
        if cut.is_some() {
            self.powered = false;
            return Err(FlashFault::PowerOff);
        }
        Ok(())
    }

    fn check(&self, offset: u32, len: usize, unit: usize) -> Result<usize, FlashFault> {
        let start = usize::try_from(offset).map_err(|_| FlashFault::OutOfBounds)?;
        if !start.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(FlashFault::NotAligned);
        }
        match start.checked_add(len) {
            Some(end) if end <= self.bytes.len() => Ok(start),
            _ => Err(FlashFault::OutOfBounds),
        }
    }
}

impl ErrorType for VirtualFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for VirtualFlash {
    const READ_SIZE: usize = WORD;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        if !self.powered {
            return Err(FlashFault::PowerOff);
        }
        let start = self.check(offset, bytes.len(), WORD)?;
        let end = start.saturating_add(bytes.len());
        bytes.copy_from_slice(self.bytes.get(start..end).ok_or(FlashFault::OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for VirtualFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        let len = to.checked_sub(from).ok_or(FlashFault::OutOfBounds)?;
        let len = usize::try_from(len).map_err(|_| FlashFault::OutOfBounds)?;
        let start = self.check(from, len, SECTOR)?;
        for at in (start..start.saturating_add(len)).step_by(SECTOR) {
            self.operate(at, SECTOR, |_, _| 0xff)?;
            if let Some(count) = at.checked_div(SECTOR).and_then(|n| self.erases.get_mut(n)) {
                *count = count.saturating_add(1);
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let mut at = self.check(offset, bytes.len(), WORD)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PAGE.saturating_sub(at.checked_rem(PAGE).unwrap_or(0));
            let (page, later) = rest.split_at(room.min(rest.len()));
            self.operate(at, page.len(), |old, index| {
                old & page.get(index).copied().unwrap_or(0xff)
            })?;
            at = at.saturating_add(page.len());
            rest = later;
        }
        Ok(())
    }
}

/// A handle to one flash chip that several owners share, as the agent's store and installer do.
#[derive(Clone, Debug)]
pub struct FlashHandle(Rc<RefCell<VirtualFlash>>);

impl FlashHandle {
    /// Puts a chip behind a handle.
    pub fn new(flash: VirtualFlash) -> Self {
        Self(Rc::new(RefCell::new(flash)))
    }

    /// Looks at the chip. Not to be called from inside itself.
    pub fn with<R>(&self, look: impl FnOnce(&mut VirtualFlash) -> R) -> R {
        look(&mut self.0.borrow_mut())
    }
}

impl ErrorType for FlashHandle {
    type Error = FlashFault;
}

impl ReadNorFlash for FlashHandle {
    const READ_SIZE: usize = VirtualFlash::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.with(|flash| flash.read(offset, bytes))
    }

    fn capacity(&self) -> usize {
        self.with(|flash| flash.capacity())
    }
}

impl NorFlash for FlashHandle {
    const WRITE_SIZE: usize = VirtualFlash::WRITE_SIZE;
    const ERASE_SIZE: usize = VirtualFlash::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.with(|flash| flash.erase(from, to))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.with(|flash| flash.write(offset, bytes))
    }
}

/// SplitMix64, a byte at a time: what a torn operation leaves must replay from its seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [byte, ..] = (mixed ^ (mixed >> 31)).to_le_bytes();
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programming_clears_bits_and_never_sets_them() {
        let mut flash = VirtualFlash::new(SECTOR);
        flash.write(0, &[0b1100; 4]).unwrap();
        flash.write(0, &[0b1010; 4]).unwrap();
        assert_eq!(flash.contents()[..4], [0b1000; 4]);
        flash.erase(0, 4096).unwrap();
        assert_eq!(flash.contents()[..4], [0xff; 4]);
        assert_eq!(flash.erases(), [1]);
    }

    #[test]
    fn misaligned_and_outside_accesses_are_refused() {
        let mut flash = VirtualFlash::new(SECTOR);
        assert_eq!(flash.write(2, &[0; 4]), Err(FlashFault::NotAligned));
        assert_eq!(flash.write(0, &[0; 3]), Err(FlashFault::NotAligned));
        assert_eq!(flash.read(1, &mut [0; 4]), Err(FlashFault::NotAligned));
        assert_eq!(flash.erase(0, 2048), Err(FlashFault::NotAligned));
        assert_eq!(flash.erase(0, 8192), Err(FlashFault::OutOfBounds));
        assert_eq!(flash.write(4096, &[0; 4]), Err(FlashFault::OutOfBounds));
        assert_eq!(flash.operations(), 0);
    }

    #[test]
    fn a_page_is_one_operation_and_a_cut_strikes_inside_a_write() {
        let mut flash = VirtualFlash::new(SECTOR);
        flash.cut_at(Cut { operation: 1, moment: Moment::Before, seed: 0 });
        assert_eq!(flash.write(0, &[0; 512]), Err(FlashFault::PowerOff));
        assert_eq!(flash.contents()[255..257], [0, 0xff], "the first page only");
        assert_eq!(flash.read(0, &mut [0; 4]), Err(FlashFault::PowerOff));
        flash.power_on();
        flash.write(256, &[0; 256]).unwrap();
        assert_eq!(flash.contents()[256], 0);
    }

    #[test]
    fn a_torn_program_clears_a_part_of_the_bits_and_replays() {
        let torn = |seed| {
            let mut flash = VirtualFlash::new(SECTOR);
            flash.cut_at(Cut { operation: 0, moment: Moment::Inside, seed });
            assert!(flash.write(0, &[0; 256]).is_err());
            flash.contents()[..256].to_vec()
        };
        assert_eq!(torn(1), torn(1));
        assert_ne!(torn(1), torn(2));
        let ones: u32 = torn(1).iter().map(|byte| byte.count_ones()).sum();
        assert!((600..1448).contains(&ones), "{ones} of 2048 bits left");
    }

    #[test]
    fn after_means_the_operation_completed() {
        let mut flash = VirtualFlash::new(SECTOR);
        flash.write(0, &[0; 4]).unwrap();
        flash.cut_at(Cut { operation: 1, moment: Moment::After, seed: 0 });
        assert_eq!(flash.erase(0, 4096), Err(FlashFault::PowerOff));
        assert_eq!(flash.contents()[0], 0xff);
    }
}
