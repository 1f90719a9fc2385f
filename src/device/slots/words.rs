//! The answer of `slots`, for people.

use std::io::{self, Write};

use super::report::{BootloaderReport, ImageReport, Proof, SecurityReport, SlotReport, SlotState};
use crate::output::{Paint, Report, Tone};

impl Report for SlotReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        if let (Some(chip), Some(port)) = (&self.chip, &self.port) {
            writeln!(out, "{chip} at {port}")?;
        }
        if let Some(security) = &self.security {
            said(out, security)?;
        }
        if let Some(bootloader) = &self.bootloader {
            boot(out, bootloader)?;
        }
        writeln!(out, "partition table at {:#x}, {} rows", self.table.offset, self.table.rows)?;
        for (index, entry) in self.entries.iter().enumerate() {
            write!(out, "otadata entry {index}: ")?;
            match (entry.seq, entry.crc) {
                (_, "blank") => writeln!(out, "blank")?,
                (seq, crc) => {
                    let seq = seq.map_or("erased".to_owned(), |seq| seq.to_string());
                    let selects = entry.selects.map(|slot| format!(", selects {slot}"));
                    writeln!(
                        out,
                        "seq {seq}, {}, label `{}`, CRC {crc}{}",
                        entry.state,
                        entry.label,
                        selects.unwrap_or_default()
                    )?;
                }
            }
        }
        self.slots.iter().try_for_each(|slot| content(out, paint, slot))?;
        let next = &self.next_boot;
        let target = paint.tone(Tone::Strong, next.without_rollback);
        let proven = if next.proven { "proven" } else { "not proven" };
        if next.without_rollback == next.with_rollback {
            writeln!(out, "next boot: {target} ({proven}), with or without bootloader rollback")?;
        } else {
            writeln!(
                out,
                "next boot: {target} without bootloader rollback, {} with it ({proven})",
                paint.tone(Tone::Strong, next.with_rollback)
            )?;
        }
        steps(out, "because", &next.because)?;
        steps(out, "with rollback", &next.because_with_rollback)?;
        match self.trial {
            "trial" => writeln!(out, "on trial: the image falls back unless it confirms itself")?,
            "unknown" => {}
            _ => writeln!(out, "settled: nothing is on trial")?,
        }
        match &self.next_update {
            Some(update) => match update.seq {
                Some(seq) => writeln!(
                    out,
                    "the next update goes to {} and writes seq {seq} into entry {}",
                    update.slot, update.entry
                ),
                None => writeln!(
                    out,
                    "no update can be installed: the sequence numbers are used up; \
                     `cargo esp-ota slots repair` heals that"
                ),
            },
            None => Ok(()),
        }
    }
}

fn said(out: &mut dyn Write, security: &SecurityReport) -> io::Result<()> {
    let on = |is_on| if is_on { "on" } else { "off" };
    writeln!(
        out,
        "flash encryption {}, secure boot {}",
        on(security.flash_encryption),
        on(security.secure_boot)
    )
}

fn boot(out: &mut dyn Write, bootloader: &BootloaderReport) -> io::Result<()> {
    write!(out, "bootloader at {:#x}: ", bootloader.offset)?;
    match (&bootloader.reason, &bootloader.known, &bootloader.esp_idf) {
        (Some(reason), ..) => write!(out, "{reason}")?,
        (None, Some(known), _) => write!(out, "{known}")?,
        (None, None, Some(idf)) => write!(out, "not a known one, built with ESP-IDF {idf}")?,
        (None, None, None) => write!(out, "not a known one")?,
    }
    writeln!(out, "; rollback: {} ({})", bootloader.rollback, bootloader.rollback_because)
}

fn content(out: &mut dyn Write, paint: Paint, slot: &SlotState) -> io::Result<()> {
    let end = u64::from(slot.offset).saturating_add(u64::from(slot.size));
    write!(out, "{:<8} {:#08x}..{end:#08x}  ", slot.name, slot.offset)?;
    match (&slot.image, slot.proof) {
        (Some(image), proof) => {
            let ImageReport { project, version, size, .. } = image;
            let version = paint.tone(Tone::Strong, version);
            let proof = match proof {
                Proof::Intact => paint.tone(Tone::Good, "intact"),
                Proof::Unproven | Proof::Broken | Proof::Blank => {
                    paint.tone(Tone::Warning, "unproven")
                }
            };
            let known = image.known.as_ref().map(|known| format!(": {known}"));
            writeln!(out, "{project} {version}, {size} bytes, {proof}{}", known.unwrap_or_default())
        }
        (None, Proof::Blank) => writeln!(out, "blank"),
        (None, Proof::Unproven) => writeln!(
            out,
            "{}: {}",
            paint.tone(Tone::Warning, "unproven"),
            slot.reason.as_deref().unwrap_or_default()
        ),
        (None, _) => writeln!(
            out,
            "{}: {}",
            paint.tone(Tone::Bad, "broken"),
            slot.reason.as_deref().unwrap_or_default()
        ),
    }
}

fn steps(out: &mut dyn Write, heading: &str, steps: &[String]) -> io::Result<()> {
    if !steps.is_empty() {
        writeln!(out, "  {heading}:")?;
    }
    steps.iter().try_for_each(|step| writeln!(out, "    {step}"))
}
