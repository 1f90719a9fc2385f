//! Surveys and changes of flash that is not at a cable.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod changes;
mod choices;
mod installs;

use embedded_storage::nor_flash::NorFlash;
use md5::{Digest, Md5};
use proptest::prelude::*;

use super::DeviceError;
use super::flash::{FlashReader, FlashWriter, SECTOR};
use crate::agent::otadata::{ENTRY, Entry, Label, State};
use crate::virtual_device::flash::{Moment, VirtualFlash};

const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Inside, Moment::After];

/// A flash chip whose power can be cut.
struct Board(VirtualFlash);

impl FlashReader for Board {
    fn size(&self) -> u32 {
        u32::try_from(self.0.contents().len()).unwrap()
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        let beyond = DeviceError::BeyondEnd { offset, length, size: self.size() };
        let start = usize::try_from(offset).unwrap();
        let end = start + usize::try_from(length).unwrap();
        self.0.contents().get(start..end).map(<[u8]>::to_vec).ok_or(beyond)
    }

    fn md5(&mut self, offset: u32, length: u32) -> Result<[u8; 16], DeviceError> {
        Ok(Md5::digest(self.read(offset, length)?).into())
    }
}

impl FlashWriter for Board {
    fn erase(&mut self, offset: u32, length: u32) -> Result<(), DeviceError> {
        let gone = |_| DeviceError::Gone { port: "test".into(), what: "an erase" };
        self.0.erase(offset, offset + length).map_err(gone)
    }

    fn write(
        &mut self,
        offset: u32,
        bytes: &[u8],
        _: &mut dyn FnMut(u32),
    ) -> Result<(), DeviceError> {
        let gone = |_| DeviceError::Gone { port: "test".into(), what: "a write" };
        let length = u32::try_from(bytes.len()).unwrap();
        self.erase(offset, length.next_multiple_of(SECTOR))?;
        self.0.write(offset, bytes).map_err(gone)
    }
}

fn blank() -> Entry {
    Entry::decode(&[0xff; ENTRY])
}

/// Entries as they are found: ours, other tools', torn and foreign ones.
fn any_entry() -> impl Strategy<Value = Entry> {
    let state = prop_oneof![
        Just(State::New),
        Just(State::PendingVerify),
        Just(State::Valid),
        Just(State::Invalid),
        Just(State::Aborted),
        Just(State::Undefined),
        any::<u32>().prop_map(State::from_word),
    ];
    let label =
        prop_oneof![Just(Label::Blank), Just(Label::Install), Just(Label::Trial), Just(Label::Ok),];
    let sequence = prop_oneof![0..9u32, any::<u32>()];
    let sound =
        (sequence, state, label).prop_map(|(seq, state, label)| Entry::new(seq, state, label));
    let torn = (sound.clone(), any::<u32>()).prop_map(|(entry, crc)| Entry { crc, ..entry });
    let noise = any::<[u8; ENTRY]>().prop_map(|bytes| Entry::decode(&bytes));
    prop_oneof![4 => sound, 1 => torn, 1 => noise, 1 => Just(blank())]
}
