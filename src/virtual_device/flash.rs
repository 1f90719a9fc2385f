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

use super::tear::Tear;

/// Bytes of a sector, the smallest erase.
pub const SECTOR: usize = 4096;
/// Bytes of a page, the largest program operation of SPI NOR flash.
const PAGE: usize = 256;
/// Bytes of an entry in `otadata` and in NVS.
const ENTRY: usize = 32;
/// Bytes of a block, which a chip erases at once where it is asked for a whole one.
pub const BLOCK: usize = 65_536;
/// Alignment of reads and writes: one word, as esp-storage has it.
const WORD: usize = 4;

/// Where in an operation the power goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// The operation does not begin.
    Before,
    /// A torn erase leaves any mix of old and 1 bits, a torn program any subset of cleared bits: by
    /// chance, from the seed of the cut.
    Inside,
    /// A torn operation whose mix is chosen.
    Torn(Tear),
    /// The operation completes, nothing after it does.
    After,
}

/// One planned power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cut {
    /// The operation it hits, counted from 0 since the flash was made.
    pub operation: u64,
    /// Where in the operation.
    pub moment: Moment,
    /// Seed for what [`Moment::Inside`] leaves behind.
    pub seed: u64,
}

impl Cut {
    /// Which changes of the operation happen; `None` where all or none do.
    fn tear(self) -> Option<Tear> {
        match self.moment {
            Moment::Inside => Some(Tear::Bits(self.seed)),
            Moment::Torn(tear) => Some(tear),
            Moment::Before | Moment::After => None,
        }
    }
}

/// One erase of a sector or one program of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// First byte.
    pub start: usize,
    /// Bytes.
    pub len: usize,
    /// Whether it erases; it programs otherwise.
    pub is_erase: bool,
    /// Bits it changes among its first 32 bytes, the length of an entry in `otadata` or NVS.
    pub changes: u16,
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
    /// Blocks that were erased as a whole.
    blocks: u64,
    operations: u64,
    cut: Option<Cut>,
    powered: bool,
    /// A byte with bits that are 0 for ever.
    worn: Option<(usize, u8)>,
    /// Every operation since [`VirtualFlash::record`].
    log: Option<Vec<Operation>>,
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
        Self {
            bytes,
            erases: vec![0; sectors],
            blocks: 0,
            operations: 0,
            cut: None,
            powered: true,
            worn: None,
            log: None,
        }
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

    /// Blocks of 64 KiB among those erases that were erased at once, as esp-storage 0.10 does it
    /// with every whole block of a range. A power cut can still strike at each sector.
    pub fn block_erases(&self) -> u64 {
        self.blocks
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

    /// Counts operations from 0 again and notes each from now on.
    pub fn record(&mut self) {
        self.operations = 0;
        self.log = Some(Vec::new());
    }

    /// The operations since [`VirtualFlash::record`], in their order.
    pub fn log(&self) -> &[Operation] {
        self.log.as_deref().unwrap_or_default()
    }

    /// Lets bits of one byte read 0 whatever is done to them, as worn cells may.
    pub fn wear_out(&mut self, at: usize, bits: u8) {
        self.worn = Some((at, bits));
        self.apply_wear();
    }

    /// Mends the worn byte: the next erase makes it whole.
    pub fn heal(&mut self) {
        self.worn = self.worn.map(|(at, _)| (at, 0));
    }

    /// Goes back to `start`, of which this chip is a copy that was recorded since: power on, no cut
    /// planned, nothing worn, nothing noted. Costs as much as what was written.
    pub fn rewind(&mut self, start: &Self) {
        for operation in self.log.take().unwrap_or_default() {
            let span = operation.start..operation.start.saturating_add(operation.len);
            if let (Some(to), Some(from)) =
                (self.bytes.get_mut(span.clone()), start.bytes.get(span))
            {
                to.copy_from_slice(from);
            }
        }
        if let Some((at, _)) = self.worn.take()
            && let (Some(to), Some(from)) = (self.bytes.get_mut(at), start.bytes.get(at))
        {
            *to = *from;
        }
        self.erases.clone_from(&start.erases);
        self.blocks = start.blocks;
        self.power_on();
        self.record();
    }

    fn apply_wear(&mut self) {
        if let Some((at, bits)) = self.worn
            && let Some(byte) = self.bytes.get_mut(at)
        {
            *byte &= !bits;
        }
    }

    /// Programs `data` or, without any, erases. The planned cut strikes here.
    fn operate(&mut self, start: usize, len: usize, data: Option<&[u8]>) -> Result<(), FlashFault> {
        if !self.powered {
            return Err(FlashFault::PowerOff);
        }
        let cut = self.cut.filter(|cut| cut.operation == self.operations);
        self.operations = self.operations.saturating_add(1);
        let end = start.checked_add(len).ok_or(FlashFault::OutOfBounds)?;
        let span = self.bytes.get_mut(start..end).ok_or(FlashFault::OutOfBounds)?;
        let new = |old: u8, index: usize| match data {
            Some(data) => old & data.get(index).copied().unwrap_or(0xff),
            None => 0xff,
        };
        if let Some(log) = &mut self.log {
            let bits = span.iter().take(ENTRY).enumerate();
            let changes = bits.map(|(index, old)| (old ^ new(*old, index)).count_ones()).sum();
            let changes = u32::try_into(changes).unwrap_or(u16::MAX);
            log.push(Operation { start, len, is_erase: data.is_none(), changes });
        }
        match (cut.map(|cut| (cut.moment, cut.tear())), data) {
            (Some((Moment::Before, _)), _) => {}
            (Some((_, Some(tear))), _) => tear.apply(span, new),
            (_, None) => span.fill(0xff),
            (_, Some(data)) => span.iter_mut().zip(data).for_each(|(old, new)| *old &= new),
        }
        self.apply_wear();
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
            self.operate(at, SECTOR, None)?;
            if let Some(count) = at.checked_div(SECTOR).and_then(|n| self.erases.get_mut(n)) {
                *count = count.saturating_add(1);
            }
        }
        let (first, last) = (start.div_ceil(BLOCK), start.saturating_add(len).div_euclid(BLOCK));
        let blocks = u64::try_from(last.saturating_sub(first)).unwrap_or(u64::MAX);
        self.blocks = self.blocks.saturating_add(blocks);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let mut at = self.check(offset, bytes.len(), WORD)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PAGE.saturating_sub(at.checked_rem(PAGE).unwrap_or(0));
            let (page, later) = rest.split_at(room.min(rest.len()));
            self.operate(at, page.len(), Some(page))?;
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
    fn whole_blocks_of_a_range_are_erased_at_once() {
        let mut flash = VirtualFlash::new(4 * BLOCK);
        for (from, to, blocks) in [
            (0x10000, 0x20000, 1),
            (0x0f000, 0x31000, 3),
            (0x11000, 0x20000, 3),
            (0x11000, 0x2f000, 3),
            (0x00000, 0x01000, 3),
        ] {
            flash.erase(from, to).unwrap();
            assert_eq!(flash.block_erases(), blocks, "{from:#x}..{to:#x}");
        }
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

    #[test]
    fn rewinding_brings_back_every_byte_and_the_power() {
        let mut start = VirtualFlash::new(4 * SECTOR);
        start.write(256, &[0x5a; 512]).unwrap();
        start.record();
        let mut flash = start.clone();
        flash.wear_out(9000, 0x80);
        flash.erase(0, 4096).unwrap();
        flash.write(8192, &[0; 1024]).unwrap();
        flash.cut_at(Cut { operation: 6, moment: Moment::Inside, seed: 3 });
        assert!(flash.write(0, &[0; 512]).is_err());
        assert_eq!(flash.log().len(), 7);
        flash.rewind(&start);
        assert!(flash.is_powered() && flash.log().is_empty());
        assert_eq!((flash.contents(), flash.erases()), (start.contents(), start.erases()));
        assert_eq!(flash.operations(), 0);
    }

    #[test]
    fn worn_bits_read_zero_whatever_is_written() {
        let mut flash = VirtualFlash::new(SECTOR);
        flash.wear_out(8, 0x01);
        flash.erase(0, 4096).unwrap();
        assert_eq!(flash.contents()[7..10], [0xff, 0xfe, 0xff]);
    }

    #[test]
    fn the_log_says_what_each_operation_was() {
        let mut flash = VirtualFlash::new(SECTOR);
        flash.write(0, &[0xf0; 32]).unwrap();
        flash.record();
        flash.erase(0, 4096).unwrap();
        flash.write(32, &[0; 4]).unwrap();
        let erase = Operation { start: 0, len: 4096, is_erase: true, changes: 128 };
        let program = Operation { start: 32, len: 4, is_erase: false, changes: 32 };
        assert_eq!(flash.log(), [erase, program]);
    }
}
