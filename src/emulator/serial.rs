//! What comes out of the serial port: bytes of anybody, made lines of bounded length, and the few
//! lines that mean something.
//!
//! Two programs speak: ESP-IDF's bootloader, and the firmware that `init` writes. An image prints
//! what it likes, so a line only says when to look into flash, and never decides alone.

use std::time::Duration;

use crate::monitor::{self, Decoder, Event, LOADED, Piece, plain};
use crate::virtual_device::bootloader::Target;

/// Characters of a line that are kept.
const LONGEST_LINE: usize = 512;

/// Cuts a stream of bytes into lines that may go to a terminal.
#[derive(Debug, Default)]
pub struct Lines(monitor::Lines);

impl Lines {
    /// Takes bytes as they come, and gives every line that is whole.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.take(bytes, Duration::ZERO).iter().filter_map(text).collect()
    }

    /// What stands in the last line, which nothing has ended.
    pub fn rest(&mut self) -> Option<String> {
        self.0.rest().as_ref().and_then(text)
    }
}

/// The begin of a line.
fn text(piece: &Piece) -> Option<String> {
    let text = plain(&piece.bytes);
    let text = text.trim_end();
    let kept = text.char_indices().nth(LONGEST_LINE).and_then(|(end, _)| text.get(..end));
    piece.begins.then(|| kept.map_or_else(|| text.to_owned(), |kept| format!("{kept} […]")))
}

/// A line that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The bootloader starts the app at this place in flash.
    Loaded(u32),
    /// The firmware says what it is.
    Runs {
        /// Its version.
        version: String,
        /// The slot it runs from.
        slot: String,
    },
    /// It is on trial: the trial is armed.
    OnTrial,
    /// It is settled.
    Settled,
    /// It runs although nothing selects it.
    LastResort,
    /// It has installed a release.
    Installed(String),
    /// It has confirmed itself.
    Confirmed,
    /// The updater says something else: an error, most often.
    Says(String),
}

/// What the firmware says of an image on trial.
pub const ON_TRIAL: &str = "updates: this image is on trial";
/// What it says of a settled one.
pub const SETTLED: &str = "updates: this image is settled";
/// What it says of a release that it has installed.
pub const INSTALLED: &str = "updates: installed ";
/// What it says once it has confirmed itself.
pub const CONFIRMED: &str = "updates: confirmed";

impl Word {
    /// What a line means, if that is anything.
    pub fn of(line: &str) -> Option<Self> {
        Some(match Decoder::default().event(line)? {
            Event::Boots { offset, .. } => Self::Loaded(offset),
            Event::Runs { version, slot, .. } => Self::Runs { version, slot },
            Event::OnTrial { .. } => Self::OnTrial,
            Event::Settled => Self::Settled,
            Event::LastResort => Self::LastResort,
            Event::Installed { version, .. } => Self::Installed(version),
            Event::Confirmed => Self::Confirmed,
            _ => Self::Says(line.trim().strip_prefix("updates: ")?.to_owned()),
        })
    }
}

/// The line with which the bootloader starts the app at `offset`.
pub fn loaded(offset: u32) -> String {
    format!("{LOADED}{offset:#x}")
}

/// Which partition the app at `offset` is, by the slots of a table.
pub fn target_at(offset: u32, slots: &[(Target, u32)]) -> Target {
    slots.iter().find(|(_, start)| *start == offset).map_or(Target::None, |(target, _)| *target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_lines_wherever_they_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\r\ntw"), ["one"]);
        assert_eq!(lines.take(b"o\n\nthr"), ["two", ""]);
        assert_eq!(lines.rest().as_deref(), Some("thr"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_an_end_costs_no_more_than_its_limit() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for _ in 0..1000 {
            found.extend(lines.take(&[b'x'; 1000]));
        }
        found.extend(lines.take(b"\nnext\n"));
        let expected = format!("{} […]", "x".repeat(LONGEST_LINE));
        assert_eq!(found, [expected, "next".to_owned()]);
    }

    #[test]
    fn a_line_at_the_limit_is_whole() {
        let mut lines = Lines::default();
        let mut bytes = vec![b'x'; LONGEST_LINE];
        bytes.push(b'\n');
        assert_eq!(lines.take(&bytes), ["x".repeat(LONGEST_LINE)]);
    }

    #[test]
    fn noise_and_control_characters_reach_no_terminal() {
        let mut lines = Lines::default();
        let noise = b"\x1b[0;32mI (30) boot: hi\x1b[0m\x07\x00 \xff\xfe\xc3(\n\x1b]0;title\n";
        let found = lines.take(noise);
        let shown = ["I (30) boot: hi\\x07\\x00 \\xff\\xfe\\xc3(", "\\x1b]0;title"];
        assert_eq!(found, shown);
        let every: Vec<u8> = (0..=u8::MAX).collect();
        let text = lines.take(&every).concat() + &lines.rest().unwrap();
        assert!(!text.chars().any(|it| it.is_control() && it != '\t'), "{text:?}");
    }

    #[test]
    fn the_bootloader_says_which_app_it_starts() {
        let line = "I (191) boot: Loaded app from partition at offset 0x150000";
        assert_eq!(Word::of(line), Some(Word::Loaded(0x15_0000)));
        assert!(line.ends_with(&loaded(0x15_0000)));
        for line in
            ["Loaded app from partition at offset 10", "Loaded app from partition at offset "]
        {
            assert_eq!(Word::of(line), None, "{line}");
        }
        let slots = [(Target::Slot(0), 0x1_0000), (Target::Slot(1), 0x15_0000)];
        assert_eq!(target_at(0x15_0000, &slots), Target::Slot(1));
        assert_eq!(target_at(0x2_0000, &slots), Target::None);
    }

    #[test]
    fn the_firmware_says_what_it_is_and_what_it_does() {
        let runs = Word::Runs { version: "1.2.0-rc.1".into(), slot: "ota_1".into() };
        assert_eq!(Word::of("thermostat 1.2.0-rc.1 runs from ota_1"), Some(runs));
        let says = |text: &str| Some(Word::Says(text.into()));
        for (line, word) in [
            ("updates: this image is on trial", Some(Word::OnTrial)),
            ("updates: this image is on trial, by the bootloader too", Some(Word::OnTrial)),
            ("updates: this image is settled", Some(Word::Settled)),
            (
                "updates: this image is the last resort: otadata does not select it",
                Some(Word::LastResort),
            ),
            ("updates: installed 1.2.1 in ota_1", Some(Word::Installed("1.2.1".into()))),
            ("updates: confirmed", Some(Word::Confirmed)),
            ("updates: confirmed by nobody", says("confirmed by nobody")),
            ("updates: the server cannot be reached", says("the server cannot be reached")),
            ("a b c runs from ota_1", None),
            ("it runs from here to there", None),
            ("runs from", None),
            ("", None),
        ] {
            assert_eq!(Word::of(line), word, "{line}");
        }
    }

    #[test]
    fn what_ends_a_power_on_is_what_the_words_begin_with() {
        assert_eq!(Word::of(ON_TRIAL), Some(Word::OnTrial));
        assert_eq!(Word::of(SETTLED), Some(Word::Settled));
        assert_eq!(Word::of(CONFIRMED), Some(Word::Confirmed));
        let line = format!("{INSTALLED}1.0.0 in ota_1");
        assert_eq!(Word::of(&line), Some(Word::Installed("1.0.0".into())));
    }
}
