//! A download into flash: what is erased when, and blocks, packed or not.

use embedded_storage::nor_flash::NorFlash;
use flate2::{Decompress, FlushDecompress, Status};

use super::Refused;
use super::request::{Block, Request};
use crate::virtual_device::flash::{SECTOR, VirtualFlash};

/// Bytes that flash is programmed in.
const WORD: usize = 4;
/// Bytes that are unpacked at a time.
const PART: usize = 4096;

/// What a host announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    start: u32,
    /// Bytes that are to be erased; in a stub also the bytes that come.
    size: u32,
    blocks: u32,
    block_size: u32,
    is_packed: bool,
    /// Whether all sectors but the first are erased as they are come to. The ROM erases all at once.
    erases_on_the_way: bool,
}

impl Plan {
    pub(super) fn read(
        request: &Request<'_>,
        is_packed: bool,
        is_stub: bool,
    ) -> Result<Self, Refused> {
        let word = |index| request.word(index).ok_or(Refused::Message);
        Ok(Self {
            size: word(0)?,
            blocks: word(1)?,
            block_size: word(2)?,
            start: word(3)?,
            is_packed,
            erases_on_the_way: is_stub,
        })
    }
}

/// A download that began.
#[derive(Debug)]
pub(super) struct Download {
    plan: Plan,
    next_block: u32,
    /// Where the next byte goes.
    at: u32,
    /// Everything from the start to here was erased.
    erased: u32,
    /// Bytes that came, unpacked.
    received: u32,
    /// Bytes that do not make up a word yet.
    rest: Vec<u8>,
    unpacker: Option<Box<Decompress>>,
}

impl Download {
    pub(super) fn begin(plan: Plan, flash: &mut VirtualFlash) -> Result<Self, Refused> {
        let sector = u32::try_from(SECTOR).unwrap_or(u32::MAX);
        let end = plan.start.checked_add(plan.size).ok_or(Refused::Failed)?;
        let capacity = flash.contents().len();
        if !plan.start.is_multiple_of(4) || usize::try_from(end).is_ok_and(|end| end > capacity) {
            return Err(Refused::Failed);
        }
        let first = plan.start.saturating_sub(plan.start.checked_rem(sector).unwrap_or(0));
        let mut erased = first;
        if plan.size > 0 {
            let last = match plan.erases_on_the_way {
                true => first.checked_add(sector),
                false => end.checked_next_multiple_of(sector),
            };
            let last = last.ok_or(Refused::Failed)?;
            flash.erase(first, last)?;
            erased = last;
        }
        let unpacker = plan.is_packed.then(|| Box::new(Decompress::new(true)));
        Ok(Self {
            plan,
            next_block: 0,
            at: plan.start,
            erased,
            received: 0,
            rest: Vec::new(),
            unpacker,
        })
    }

    /// Takes in the next block.
    pub(super) fn block(
        &mut self,
        block: Block<'_>,
        is_packed: bool,
        flash: &mut VirtualFlash,
    ) -> Result<(), Refused> {
        if !block.is_sound {
            return Err(Refused::Checksum);
        }
        let length = u32::try_from(block.bytes.len()).unwrap_or(u32::MAX);
        let is_next = block.sequence == self.next_block && self.next_block < self.plan.blocks;
        if is_packed != self.plan.is_packed || !is_next || length > self.plan.block_size {
            return Err(Refused::Message);
        }
        self.next_block = self.next_block.saturating_add(1);
        match self.unpacker.take() {
            None => self.write(block.bytes, flash),
            Some(mut unpacker) => {
                let written = self.unpack(&mut unpacker, block.bytes, flash);
                self.unpacker = Some(unpacker);
                written
            }
        }
    }

    fn unpack(
        &mut self,
        unpacker: &mut Decompress,
        mut packed: &[u8],
        flash: &mut VirtualFlash,
    ) -> Result<(), Refused> {
        let mut part = vec![0; PART];
        loop {
            let (read, written) = (unpacker.total_in(), unpacker.total_out());
            let status = unpacker
                .decompress(packed, &mut part, FlushDecompress::None)
                .map_err(|_| Refused::Deflate)?;
            let count = |now: u64, before: u64| {
                usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX)
            };
            let taken = count(unpacker.total_in(), read);
            let given = count(unpacker.total_out(), written);
            packed = packed.get(taken..).unwrap_or_default();
            self.write(part.get(..given).unwrap_or_default(), flash)?;
            let is_stuck = taken == 0 && given == 0;
            if status == Status::StreamEnd || (packed.is_empty() && given < PART) || is_stuck {
                return Ok(());
            }
        }
    }

    /// Programs whole words; what is left waits for the next bytes, or for the announced end.
    fn write(&mut self, bytes: &[u8], flash: &mut VirtualFlash) -> Result<(), Refused> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.received = self.received.saturating_add(length);
        self.rest.extend_from_slice(bytes);
        if self.received == self.plan.size {
            self.rest.resize(self.rest.len().next_multiple_of(WORD), 0xff);
        }
        let whole = self.rest.len().saturating_sub(self.rest.len() % WORD);
        let words: Vec<u8> = self.rest.drain(..whole).collect();
        self.program(&words, flash)
    }

    fn program(&mut self, words: &[u8], flash: &mut VirtualFlash) -> Result<(), Refused> {
        // Hosts fill their last block up: what is beyond the announced end is no one's.
        let limit = self.plan.start.saturating_add(self.plan.size);
        let limit = limit.checked_next_multiple_of(4).unwrap_or(limit);
        let room = usize::try_from(limit.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let words = words.get(..room).unwrap_or(words);
        if words.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(words.len()).map_err(|_| Refused::Write)?;
        let end = self.at.checked_add(length).ok_or(Refused::Write)?;
        if self.plan.erases_on_the_way {
            let sector = u32::try_from(SECTOR).unwrap_or(u32::MAX);
            let needed = end.checked_next_multiple_of(sector).ok_or(Refused::Write)?;
            if needed > self.erased {
                flash.erase(self.erased, needed)?;
                self.erased = needed;
            }
        }
        flash.write(self.at, words)?;
        self.at = end;
        Ok(())
    }

    /// Writes the last bytes, filled up to a word.
    pub(super) fn end(mut self, flash: &mut VirtualFlash) -> Result<(), Refused> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let mut words = std::mem::take(&mut self.rest);
        words.resize(words.len().next_multiple_of(WORD), 0xff);
        self.program(&words, flash)
    }
}
