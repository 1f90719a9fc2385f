//! Colour, and the layout of failures. Everything reads the same without colour.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::Color;
use crate::error::Failure;

/// What a word is, not how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A heading or a name to find again.
    Strong,
    /// Good news.
    Good,
    /// Worth a look.
    Warning,
    /// Bad news.
    Bad,
    /// Beside the point.
    Faint,
}

/// Adds colour to words, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    is_on: bool,
}

impl Paint {
    /// No colour.
    pub const PLAIN: Self = Self { is_on: false };

    /// The text in its tone.
    pub fn tone(self, tone: Tone, text: impl Display) -> String {
        if !self.is_on {
            return text.to_string();
        }
        let style = match tone {
            Tone::Strong => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default().bold(),
            Tone::Warning => AnsiColor::Yellow.on_default().bold(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// Decides on colour: the flag, then `NO_COLOR` and `CARGO_TERM_COLOR`, then the terminal.
pub(super) fn paint(color: Color, is_terminal: bool) -> Paint {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_on = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto => match std::env::var("CARGO_TERM_COLOR").as_deref() {
            Ok("always") => true,
            Ok("never") => false,
            _ => is_terminal,
        },
    };
    Paint { is_on }
}

/// `error`, each `caused by`, `help`: always in this order and layout.
pub(super) fn failure(
    out: &mut dyn Write,
    failure: &Failure,
    with_help: bool,
    paint: Paint,
) -> io::Result<()> {
    writeln!(out, "{}: {failure}", paint.tone(Tone::Bad, "error"))?;
    for cause in failure.causes() {
        writeln!(out, "  {}: {cause}", paint.tone(Tone::Strong, "caused by"))?;
    }
    match failure.help() {
        Some(help) if with_help => writeln!(out, "  {}: {help}", paint.tone(Tone::Good, "help")),
        _ => Ok(()),
    }
}
