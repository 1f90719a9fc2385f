//! The `nvs` partition in RAM, with the rules of NOR flash.

use alloc::boxed::Box;
use alloc::vec;
use core::convert::Infallible;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

const LEN: usize = 0x5000;

/// One partition. Its 20 KiB are leaked: they are not the agent's memory.
pub struct Ram(&'static mut [u8]);

impl Ram {
    pub fn blank() -> Self {
        Self(Box::leak(vec![0xff; LEN].into_boxed_slice()))
    }

    fn at(&mut self, from: u32, len: usize) -> &mut [u8] {
        let from = usize::try_from(from).expect("32 bits");
        &mut self.0[from..from + len]
    }
}

impl ErrorType for Ram {
    type Error = Infallible;
}

impl ReadNorFlash for Ram {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(self.at(offset, bytes.len()));
        Ok(())
    }

    fn capacity(&self) -> usize {
        LEN
    }
}

impl NorFlash for Ram {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.at(from, usize::try_from(to - from).expect("32 bits")).fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        for (cell, byte) in self.at(offset, bytes.len()).iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}
