//! What was put on each device, and what it boots now.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::target::Place;
use crate::chip::Chip;
use crate::device::SlotReport;
use crate::device::install::Part;
use crate::device::slots::Change;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone, Trouble};
use crate::virtual_device::bootloader::Target;

/// Everything that was flashed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FlashReport {
    devices: Vec<DeviceReport>,
}

/// One device.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DeviceReport {
    /// The port, where it is a device.
    pub(super) port: Option<String>,
    /// The file, where it is none.
    pub(super) image: Option<PathBuf>,
    pub(super) chip: Option<Chip>,
    pub(super) mac: Option<String>,
    /// Whether nothing was written.
    pub(super) dry_run: bool,
    /// The slot that the app is in.
    pub(super) slot: Option<Target>,
    /// What belongs where, and whether it had to be written.
    pub(super) parts: Vec<PartReport>,
    /// Names of the settings that are there now.
    pub(super) settings: Vec<&'static str>,
    /// What was, or would be, erased first: `otadata`, `nvs` or `all`.
    pub(super) erased: Option<&'static str>,
    /// Entries of otadata that were written.
    pub(super) otadata: Vec<Chosen>,
    /// What somebody may want to know.
    pub(super) notes: Vec<String>,
    /// What `slots` says afterwards; `null` where it failed, and for a dry run.
    pub(super) slots: Option<SlotReport>,
    /// Why this device is not what it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Trouble>,
    #[serde(skip)]
    exit: Option<Exit>,
}

/// A region of the flash.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PartReport {
    what: String,
    offset: u32,
    size: u32,
    /// Whether it was, or would be, written: what is there already is not.
    written: bool,
    /// Time of the write and of the comparison, in milliseconds.
    milliseconds: Option<u64>,
}

/// The entry of otadata that chooses the app.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Chosen {
    entry: usize,
    /// `null` where it was erased.
    seq: Option<u32>,
}

impl PartReport {
    pub(super) fn new(part: &Part, milliseconds: Option<u64>) -> Self {
        Self {
            what: part.what.to_string(),
            offset: part.offset,
            size: part.length(),
            written: !part.is_there,
            milliseconds,
        }
    }

    /// The pages of one partition, as one.
    pub(super) fn of_pages(pages: &[Part], milliseconds: Option<u64>) -> Option<Self> {
        let size = pages.iter().map(Part::length).fold(0, u32::saturating_add);
        Some(Self { size, ..Self::new(pages.first()?, milliseconds) })
    }
}

impl From<&Change> for Chosen {
    fn from(change: &Change) -> Self {
        let seq = (!change.after.is_blank()).then_some(change.after.sequence);
        Self { entry: change.index, seq }
    }
}

impl FlashReport {
    pub(super) fn new(devices: Vec<DeviceReport>) -> Self {
        Self { devices }
    }

    /// That of the first device that failed.
    pub(super) fn exit(&self) -> Exit {
        self.devices.iter().find_map(|device| device.exit).unwrap_or(Exit::Success)
    }
}

impl DeviceReport {
    /// That the device is not what it should be; what is known of it stays.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.error = Some(failure.into());
        self.exit = Some(failure.exit());
    }

    /// Of a device of which nothing is known yet.
    pub(super) fn of(place: &Place) -> Self {
        match place {
            Place::Cable(chosen, _) => Self { port: Some(chosen.name.clone()), ..Self::default() },
            Place::File(file) => Self { image: Some(file.clone()), ..Self::default() },
        }
    }

    fn name(&self) -> String {
        let file = self.image.as_ref().map(|file| file.display().to_string());
        self.port.clone().or(file).unwrap_or_default()
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(what) = self.erased {
            let would = if self.dry_run { "would be erased first" } else { "erased first" };
            writeln!(out, "  {what:<14} {would}")?;
        }
        for part in &self.parts {
            let PartReport { what, offset, size, written, milliseconds } = part;
            let slot = match (what.as_str(), self.slot) {
                ("app", Some(slot)) => format!("app in {slot}"),
                _ => what.clone(),
            };
            write!(out, "  {slot:<14} {offset:#08x}  {size:>8} bytes  ")?;
            match (written, self.dry_run, milliseconds) {
                (false, ..) => writeln!(out, "is there already")?,
                (true, true, _) => writeln!(out, "would be written")?,
                (true, false, Some(took @ 1..)) => {
                    let rate = u64::from(*size).checked_div(*took).unwrap_or(0);
                    let seconds = took / 1000;
                    let tenths = took % 1000 / 100;
                    writeln!(out, "written and compared, {seconds}.{tenths} s, {rate} KB/s")?;
                }
                (true, false, _) => writeln!(out, "written and compared")?,
            }
        }
        if !self.settings.is_empty() {
            writeln!(out, "  settings       {}", self.settings.join(", "))?;
        }
        for Chosen { entry, seq } in &self.otadata {
            match seq {
                Some(seq) => {
                    writeln!(out, "  otadata        entry {entry}: seq {seq}, VALID, label `ok`")?
                }
                None => writeln!(out, "  otadata        entry {entry}: erased")?,
            }
        }
        Ok(())
    }
}

impl Report for FlashReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for device in &self.devices {
            let name = paint.tone(Tone::Strong, device.name());
            let mac = device.mac.as_ref().map(|mac| format!(", {mac}")).unwrap_or_default();
            match device.chip {
                Some(chip) => writeln!(out, "{name}: {chip}{mac}")?,
                None => writeln!(out, "{name}:")?,
            }
            device.table(out)?;
            for note in &device.notes {
                writeln!(out, "  note: {note}")?;
            }
            if let Some(slots) = &device.slots {
                slots.human(out, paint)?;
            }
            if let Some(error) = &device.error {
                writeln!(out, "  {}: {}", paint.tone(Tone::Bad, "error"), error.message)?;
                for cause in &error.caused_by {
                    writeln!(out, "    because: {cause}")?;
                }
                if let Some(help) = &error.help {
                    writeln!(out, "    help: {help}")?;
                }
            }
        }
        Ok(())
    }
}
