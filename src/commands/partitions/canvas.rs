//! Pictures of the flash on the streams of this process.

use std::io::{self, Write};

use crate::output::{Paint, Screen, Tone};
use crate::partition::{self, Canvas, Part, Region};

/// Draws regions, as wide as the screen allows.
pub(super) fn draw(
    out: &mut dyn Write,
    paint: Paint,
    regions: &[Region],
    screen: Screen,
) -> io::Result<()> {
    let canvas = Canvas { width: screen.width, is_unicode: screen.is_unicode };
    for line in partition::draw(regions, canvas) {
        match line.part {
            Part::App => writeln!(out, "{}", paint.tone(Tone::Strong, line.text))?,
            Part::Data => writeln!(out, "{}", line.text)?,
            Part::Bootloader | Part::Table | Part::Unused | Part::End => {
                writeln!(out, "{}", paint.tone(Tone::Faint, line.text))?;
            }
        }
    }
    Ok(())
}
