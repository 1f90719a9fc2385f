//! The virtual flash, with a count of the bytes that are read, as a driver that is async as well.

use std::cell::Cell;
use std::rc::Rc;

use cargo_esp_ota::virtual_device::flash::{Cut, FlashFault, FlashHandle, VirtualFlash};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// Bytes of the chip.
const SIZE: usize = 0x18000;

/// One chip behind a handle.
#[derive(Clone)]
pub(crate) struct Counted {
    flash: FlashHandle,
    read: Rc<Cell<u64>>,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self::with_contents(vec![0xff; SIZE])
    }

    pub(crate) fn with_contents(contents: Vec<u8>) -> Self {
        let flash = FlashHandle::new(VirtualFlash::with_contents(contents));
        Self { flash, read: Rc::default() }
    }

    pub(crate) fn contents(&self) -> Vec<u8> {
        self.flash.with(|flash| flash.contents().to_vec())
    }

    /// Erases and page programs so far.
    pub(crate) fn operations(&self) -> u64 {
        self.flash.with(|flash| flash.operations())
    }

    /// Operations, and erases of each sector.
    pub(crate) fn wear(&self) -> (u64, Vec<u32>) {
        self.flash.with(|flash| (flash.operations(), flash.erases().to_vec()))
    }

    pub(crate) fn cut_at(&self, cut: Cut) {
        self.flash.with(|flash| flash.cut_at(cut));
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    pub(crate) fn forget_reads(&self) {
        self.read.set(0);
    }
}

impl ErrorType for Counted {
    type Error = FlashFault;
}

impl ReadNorFlash for Counted {
    const READ_SIZE: usize = FlashHandle::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.read.set(self.read.get() + u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl NorFlash for Counted {
    const WRITE_SIZE: usize = FlashHandle::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashHandle::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.flash.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.flash.write(offset, bytes)
    }
}

impl embedded_storage_async::nor_flash::ReadNorFlash for Counted {
    const READ_SIZE: usize = FlashHandle::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        ReadNorFlash::read(self, offset, bytes)
    }

    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(self)
    }
}

impl embedded_storage_async::nor_flash::NorFlash for Counted {
    const WRITE_SIZE: usize = FlashHandle::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashHandle::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        NorFlash::erase(self, from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        NorFlash::write(self, offset, bytes)
    }
}
