//! One line of the device, and what is added to it.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::monitor::{Event, Frame, Mood, Piece, coloured, plain, unsaid};
use crate::output::{Paint, Report, Tone};

/// What stands before each line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands) enum Timestamps {
    /// Nothing.
    None,
    /// Seconds since the start.
    #[default]
    Elapsed,
    /// Date and time of day.
    Utc,
}

/// When a line came.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct When {
    elapsed_ms: u64,
    time: Timestamp,
}

impl When {
    pub(super) fn new(start: Timestamp, elapsed: std::time::Duration) -> Self {
        let time = start.checked_add(elapsed).unwrap_or(start);
        Self { elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), time }
    }

    fn prefix(self, timestamps: Timestamps, paint: Paint) -> String {
        let text = match timestamps {
            Timestamps::None => return String::new(),
            Timestamps::Elapsed => {
                let seconds = self.elapsed_ms.checked_div(1000).unwrap_or_default();
                let rest = self.elapsed_ms.checked_rem(1000).unwrap_or_default();
                format!("{seconds:>5}.{rest:03} ")
            }
            Timestamps::Utc => format!("{:.3} ", self.time),
        };
        paint.tone(Tone::Faint, text)
    }
}

/// A line that the device has printed, or a part of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Line {
    #[serde(flatten)]
    when: When,
    /// Its text, as it can be shown.
    text: String,
    /// Its bytes, where the text is not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    /// Whether it begins a line of the device.
    begins: bool,
    /// Whether it ends it.
    ends: bool,
    /// What the line means, if that is anything.
    event: Option<Event>,
    /// The functions that its addresses are in.
    frames: Vec<Frame>,
    #[serde(skip)]
    coloured: String,
    #[serde(skip)]
    timestamps: Timestamps,
}

impl Line {
    pub(super) fn new(
        piece: &Piece,
        when: When,
        timestamps: Timestamps,
        event: Option<Event>,
        frames: Vec<Frame>,
    ) -> Self {
        Self {
            when,
            text: plain(&piece.bytes),
            bytes: unsaid(&piece.bytes),
            begins: piece.begins,
            ends: piece.ends,
            event,
            frames,
            coloured: coloured(&piece.bytes),
            timestamps,
        }
    }
}

impl Report for Line {
    /// The device's own text stands behind a bar, and what is ours behind a `>`: no text can pass for
    /// an event, or for a command to whatever reads the log. What means what it says has no `>`.
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let prefix = self.when.prefix(self.timestamps, paint);
        let text = if paint == Paint::PLAIN { &self.text } else { &self.coloured };
        let bar = paint.tone(Tone::Faint, if self.begins { "|" } else { "+" });
        writeln!(out, "{prefix}{bar} {text}")?;
        let meaning = self.event.as_ref().map(Event::to_string).unwrap_or_default();
        let is_said = self.text.trim_end().ends_with(&meaning);
        if let Some(event) = self.event.as_ref().filter(|_| !is_said) {
            let tone = match event.mood() {
                Mood::Good => Tone::Good,
                Mood::Plain => Tone::Strong,
                Mood::Warning => Tone::Warning,
                Mood::Bad => Tone::Bad,
            };
            writeln!(out, "{prefix}{}", paint.tone(tone, format_args!("> {meaning}")))?;
        }
        for frame in &self.frames {
            writeln!(
                out,
                "{prefix}{}",
                paint.tone(Tone::Strong, format_args!("> {}", words(frame)))
            )?;
        }
        Ok(())
    }
}

fn words(frame: &Frame) -> String {
    let name = frame.function.as_deref().unwrap_or("an unknown function");
    let name = plain(name.as_bytes());
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(", {}:{line}", plain(file.as_bytes())),
        (Some(file), None) => format!(", {}", plain(file.as_bytes())),
        (None, _) => String::new(),
    };
    let inlined = if frame.inlined { ", inlined into" } else { "" };
    format!("{:#010x} {name}{place}{inlined}", frame.address)
}

/// The port went away, or came back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PortChange {
    #[serde(flatten)]
    pub(super) when: When,
    pub(super) event: PortEvent,
    #[serde(skip)]
    pub(super) timestamps: Timestamps,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum PortEvent {
    PortGone { port: String },
    PortBack { port: String },
}

impl Report for PortChange {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let prefix = self.when.prefix(self.timestamps, paint);
        let words = match &self.event {
            PortEvent::PortGone { port } => format!("> `{port}` is gone: waiting for it"),
            PortEvent::PortBack { port } => format!("> `{port}` is back"),
        };
        writeln!(out, "{prefix}{}", paint.tone(Tone::Warning, words))
    }
}

/// How the watch ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct End {
    /// The port, as it was called last.
    pub(super) port: String,
    /// Lines that have ended.
    pub(super) lines: u64,
    /// Bytes that came.
    pub(super) bytes: u64,
    /// How long it took.
    pub(super) elapsed_ms: u64,
    /// What was waited for and seen.
    pub(super) seen: Option<String>,
}

impl Report for End {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let took = match self.elapsed_ms {
            short @ ..1000 => format!("{short} ms"),
            long => format!("{} s", long.div_ceil(1000)),
        };
        let words = format!("> `{}` was seen within {took}", plain(seen.as_bytes()));
        writeln!(out, "{}", paint.tone(Tone::Good, words))
    }
}
