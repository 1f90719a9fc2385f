//! The answer of `inspect` for people.

use std::io::{self, Write};

use super::InspectReport;
use crate::error::Location;
use crate::image::inspect::{App, Check, Content, Elf, Flash, Header, Image, Kind};
use crate::output::{Annotation, Level, Paint, Report, Tone};

impl Report for InspectReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let file = paint.tone(Tone::Strong, self.file.display());
        let chip = self.chip.map_or(String::new(), |chip| format!(" for {chip}"));
        let verdict = match (self.publishable, self.needs_version(), self.expected_chip) {
            (false, _, _) => paint.tone(Tone::Bad, "not to be published"),
            (true, true, _) => {
                paint.tone(Tone::Warning, "good to publish with `--release-version`")
            }
            (true, false, Some(_)) => paint.tone(Tone::Good, "good to publish"),
            (true, false, None) => paint.tone(Tone::Good, "good to publish for that chip"),
        };
        writeln!(out, "{file}: {}{chip}: {verdict}", self.kind)?;
        if self.kind != Kind::App && !self.evidence.is_empty() {
            writeln!(out, "  told by: {}", self.evidence.join(", "))?;
        }
        if let Some(image) = &self.image {
            self::image(out, paint, image)?;
        }
        if let Some(elf) = &self.elf {
            self::elf(out, elf)?;
        }
        if let Some(flash) = &self.flash {
            self::flash(out, flash)?;
        }
        for slot in &self.slots {
            let (name, size, free) = (&slot.name, slot.size, slot.free);
            match u64::try_from(free) {
                Ok(free) => writeln!(out, "  {name}: {free} of {size} bytes stay free")?,
                Err(_) => writeln!(out, "  {name}: {} bytes too few", free.unsigned_abs())?,
            }
        }
        writeln!(out, "  file: {} bytes, SHA-256 {}", self.size, self.sha256)?;
        for problem in &self.problems {
            writeln!(out, "{}: {}", paint.tone(Tone::Bad, "problem"), problem.message)?;
            if let Some(help) = &problem.help {
                writeln!(out, "  {}: {help}", paint.tone(Tone::Good, "help"))?;
            }
        }
        for note in &self.notes {
            writeln!(out, "{}: {}", paint.tone(Tone::Warning, "note"), note.message)?;
        }
        Ok(())
    }

    fn annotations(&self) -> Vec<Annotation> {
        let location = Location { file: self.file.clone(), line: None, column: None };
        let annotation = |level, code: &str, message: String| Annotation {
            level,
            location: Some(location.clone()),
            title: code.to_owned(),
            message,
        };
        let problems = self.problems.iter().map(|problem| {
            let help = problem.help.as_ref().map(|help| format!("\nhelp: {help}"));
            let message = format!("{}{}", problem.message, help.unwrap_or_default());
            annotation(Level::Error, problem.code, message)
        });
        let notes = self.notes.iter();
        let notes = notes.map(|note| annotation(Level::Notice, note.code, note.message.clone()));
        problems.chain(notes).collect()
    }
}

fn image(out: &mut dyn Write, paint: Paint, image: &Image) -> io::Result<()> {
    if let Some(app) = &image.descriptor {
        self::app(out, paint, app)?;
    }
    if let Some(bootloader) = &image.bootloader {
        let (version, idf, built) =
            (bootloader.version, &bootloader.idf_version, &bootloader.built);
        write!(out, "  bootloader {version}, of ESP-IDF {idf}")?;
        match built.as_str() {
            "" => writeln!(out)?,
            built => writeln!(out, ", built {built}")?,
        }
    }
    header(out, &image.header)?;
    for (index, segment) in image.segments.iter().enumerate() {
        let (length, address, memory) = (segment.length, segment.address, segment.memory.words());
        writeln!(
            out,
            "  segment {index}: {length} bytes at {:#x} for {address:#010x} ({memory})",
            segment.offset
        )?;
    }
    if let Some(checksum) = &image.checksum {
        write!(out, "  checksum {:#04x} ({})", checksum.stored, validity(checksum))?;
        match &image.digest {
            Some(digest) => {
                writeln!(out, ", appended SHA-256 {} ({})", digest.stored, validity(digest))?;
            }
            None => writeln!(out, ", no SHA-256 appended")?,
        }
    }
    Ok(())
}

fn validity<T>(check: &Check<T>) -> &'static str {
    if check.valid { "valid" } else { "invalid" }
}

fn app(out: &mut dyn Write, paint: Paint, app: &App) -> io::Result<()> {
    let App { project, idf_version, built, secure_version, elf_sha256, .. } = app;
    let or_none = |text: &str| if text.is_empty() { "(none)".to_owned() } else { text.to_owned() };
    let version = paint.tone(Tone::Strong, or_none(&app.version));
    writeln!(
        out,
        "  project {}, version {version}, secure version {secure_version}",
        or_none(project)
    )?;
    writeln!(out, "  built {} with ESP-IDF {}", or_none(built), or_none(idf_version))?;
    writeln!(out, "  of an ELF file with SHA-256 {elf_sha256}")?;
    let revisions = range(app.min_efuse_block_revision, app.max_efuse_block_revision);
    write!(out, "  eFuse block {revisions}")?;
    match app.mmu_page_size {
        Some(size) => writeln!(out, ", MMU pages of {size} bytes"),
        None => writeln!(out),
    }
}

fn header(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    let known = |name: Option<&'static str>| name.unwrap_or("unknown");
    writeln!(
        out,
        "  chip {}; flash {}, {}, {}; entry {:#010x}",
        range(header.min_chip_revision, header.max_chip_revision),
        known(header.flash_mode),
        known(header.flash_frequency),
        known(header.flash_size),
        header.entry
    )
}

/// Revisions are major times 100 plus minor; a highest of 0 or 65535 is none.
fn range(lowest: u16, highest: u16) -> String {
    let name = |revision: u16| format!("v{}.{}", revision / 100, revision % 100);
    match highest {
        0 | u16::MAX => format!("revision {} or later", name(lowest)),
        highest => format!("revision {} to {}", name(lowest), name(highest)),
    }
}

fn elf(out: &mut dyn Write, elf: &Elf) -> io::Result<()> {
    let bits = elf.bits.map_or(String::new(), |bits| format!(", {bits} bits"));
    let what = match (elf.bits, elf.firmware, elf.program) {
        (None, _, _) => "damaged",
        (_, true, _) => "firmware",
        (_, false, true) => "a program, but no firmware with an app descriptor or mapped flash",
        (_, false, false) => "an object file",
    };
    writeln!(out, "  {}{bits}: {what}", elf.architecture)?;
    if !elf.chips.is_empty() {
        let chips: Vec<_> = elf.chips.iter().map(|chip| chip.name()).collect();
        writeln!(out, "  may be for {}", chips.join(", "))?;
    }
    match &elf.descriptor {
        Some(app) => writeln!(out, "  project {}, version {}", app.project, app.version),
        None => Ok(()),
    }
}

fn flash(out: &mut dyn Write, flash: &Flash) -> io::Result<()> {
    writeln!(out, "  partition table at {:#x}, {} rows", flash.table, flash.rows)?;
    for app in &flash.apps {
        let end = u64::from(app.address).saturating_add(app.size.into());
        write!(out, "  {:<8} {:#08x}..{end:#08x}  ", app.name, app.address)?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match app.content {
            Content::Intact => {
                let (project, version) = (text(&app.project), text(&app.version));
                let bytes = app.image_size.unwrap_or(0);
                let offset = app.offset.unwrap_or(0);
                writeln!(out, "{project} {version}, {bytes} bytes at {offset:#x} of the file")?;
            }
            Content::Broken => writeln!(out, "something that does not boot")?,
            Content::Blank => writeln!(out, "blank")?,
            Content::Missing => writeln!(out, "behind the end of the file")?,
            Content::Skipped => writeln!(out, "not looked at")?,
        }
    }
    Ok(())
}
