//! One emulated chip with its flash, from a power-on to a power cut.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kind::{Emulator, Network, PowerOn};
use super::run::Run;
use super::serial::{self, Word};
use super::{EmulatorError, FlashImage, Program};
use crate::agent::otadata::{ENTRY, Entry, Label, SECTOR, State};
use crate::chip::Chip;
use crate::device::{self, SlotReport};
use crate::monitor;
use crate::virtual_device::bootloader::Target;

/// What comes out of the serial port, all power-ons one after the other.
pub const SERIAL_LOG: &str = "serial.log";

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The bootloader has started an app.
    Loaded,
    /// The trial is armed, or the firmware says that it needs none.
    Armed,
    /// A release is installed, and the chip has reset itself.
    Installed,
    /// The image has confirmed itself.
    Confirmed,
    /// The firmware says that it is settled.
    Settled,
    /// Nothing: the power goes after this time, or when the image has confirmed itself.
    Over(Duration),
}

/// When the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// At once.
    Now,
    /// A little later: what was said is in flash by then.
    Later,
}

/// How a power-on ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was waited for has come.
    Reached,
    /// The chip has reset itself before that.
    Reset,
    /// The time was over before that.
    Deadline,
}

/// What one power-on came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// How it ended.
    pub end: End,
    /// What the bootloader started.
    pub started: Option<Target>,
    /// The lines that mean something, in their order.
    pub words: Vec<Word>,
    /// The last lines of the serial port.
    pub last: Vec<String>,
}

impl Session {
    /// The version and the slot that the firmware says it runs.
    pub fn runs(&self) -> Option<(&str, &str)> {
        self.words.iter().rev().find_map(|word| match word {
            Word::Runs { version, slot } => Some((version.as_str(), slot.as_str())),
            _ => None,
        })
    }
}

/// An emulated chip that is off.
#[derive(Debug)]
pub struct Machine {
    pub(super) program: Program,
    pub(super) folder: PathBuf,
    pub(super) apps: Vec<(Target, u32)>,
    chip: Chip,
    flash: String,
    otadata: u32,
    network: Network,
    deadline: Duration,
}

impl Machine {
    /// A chip with this flash, which is written to the file `name` of `folder`.
    pub fn new(
        (program, chip): (Program, Chip),
        (folder, name): (&Path, &str),
        flash: &FlashImage,
        network: Network,
        deadline: Duration,
    ) -> Result<Self, EmulatorError> {
        let file = folder.join(name);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&file, flash.bytes()))
            .map_err(|source| EmulatorError::File { file, source })?;
        Ok(Self {
            program,
            folder: folder.to_owned(),
            apps: flash.apps(),
            chip,
            flash: name.to_owned(),
            otadata: flash.table().layout.otadata,
            network,
            deadline,
        })
    }

    /// The longest a power-on may take, in seconds.
    pub fn seconds(&self) -> u64 {
        self.deadline.as_secs()
    }

    /// The file with its flash.
    pub fn flash(&self) -> PathBuf {
        self.folder.join(&self.flash)
    }

    /// What is in flash, judged as `slots` judges a dump.
    pub fn slots(&self) -> Result<SlotReport, EmulatorError> {
        let file = self.flash();
        let bytes = std::fs::read(&file).map_err(|source| EmulatorError::File { file, source })?;
        Ok(device::report(&bytes)?)
    }

    /// Switches the chip on, and off once `until` has come or the deadline has passed. `title` goes
    /// to the log.
    ///
    /// # Errors
    ///
    /// Where the emulator cannot be started or gives up: then nothing is known of the image.
    pub async fn power_on(
        &self,
        title: &str,
        until: Until,
        cut: Cut,
    ) -> Result<Session, EmulatorError> {
        let deadline = match until {
            Until::Over(time) => time,
            _ => self.deadline,
        };
        let exit_on = (!self.writes_through()).then(|| exit_on(until));
        let on = PowerOn {
            chip: self.chip,
            flash: &self.flash,
            network: self.network,
            exit_on,
            deadline,
        };
        let arguments = self.program.emulator.arguments(&on);
        Run::new(self, until, title)?.follow(&arguments, deadline, cut).await
    }

    /// Whether its flash can be watched while it is on.
    pub(super) fn writes_through(&self) -> bool {
        self.program.emulator.writes_through()
    }

    /// Whether an entry of `otadata` in the file says that a trial is armed.
    pub(super) fn is_armed(&self) -> bool {
        [0, SECTOR].into_iter().any(|sector| {
            let entry = self.entry(self.otadata.saturating_add(sector));
            entry.is_some_and(|entry| {
                entry.is_sound() && entry.state == State::Aborted && entry.label == Label::Trial
            })
        })
    }

    /// An entry as the file has it now; `None` where it cannot be read, which is tried again.
    fn entry(&self, offset: u32) -> Option<Entry> {
        use std::io::{Read, Seek, SeekFrom};

        let mut bytes = [0xff; ENTRY];
        let mut file = std::fs::File::open(self.flash()).ok()?;
        file.seek(SeekFrom::Start(u64::from(offset))).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(Entry::decode(&bytes))
    }
}

/// The text at which an emulator that keeps flash in memory ends by itself.
const fn exit_on(until: Until) -> &'static str {
    match until {
        Until::Loaded => monitor::LOADED,
        Until::Armed => serial::ON_TRIAL,
        Until::Installed => serial::INSTALLED,
        Until::Confirmed | Until::Over(_) => serial::CONFIRMED,
        Until::Settled => serial::SETTLED,
    }
}

impl Until {
    /// Whether this line is what is waited for, on a chip that `emulator` emulates.
    pub(super) fn is_reached_by(self, word: &Word, emulator: Emulator) -> bool {
        match (self, word) {
            (Self::Loaded, Word::Loaded(_))
            | (Self::Armed, Word::OnTrial | Word::Settled | Word::LastResort)
            | (Self::Confirmed | Self::Over(_), Word::Confirmed)
            | (Self::Settled, Word::Settled) => true,
            // Where a reset ends the emulator, the reset is waited for, too.
            (Self::Installed, Word::Installed(_)) => !emulator.writes_through(),
            _ => false,
        }
    }
}
