//! What comes out of the serial port: bytes of anybody, made lines of bounded length, and the few
//! lines that mean something.
//!
//! Two programs speak: ESP-IDF's bootloader, and the firmware that `init` writes. An image prints
//! what it likes, so a line only says when to look into flash, and never decides alone.

use crate::monitor::{Decoder, Event};
use crate::virtual_device::bootloader::Target;

/// Bytes of a line that are kept.
pub const LONGEST_LINE: usize = 512;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    is_cut: bool,
}

impl Lines {
    /// Takes bytes as they come, and gives every line that is whole.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => whole.push(self.finish()),
                _ if self.line.len() < LONGEST_LINE => self.line.push(*byte),
                _ => self.is_cut = true,
            }
        }
        whole
    }

    /// What stands in the last line, which nothing has ended.
    pub fn rest(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.finish())
    }

    fn finish(&mut self) -> String {
        let line = std::mem::take(&mut self.line);
        let mark = if std::mem::take(&mut self.is_cut) { " […]" } else { "" };
        format!("{}{mark}", plain(&line))
    }
}

/// The text of a line that may go to a terminal: without colours and other control characters.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // A control sequence of ECMA-48 ends at the first letter: ESP-IDF colours its log.
            '\u{1b}' => {
                let _ = characters.by_ref().find(char::is_ascii_alphabetic);
            }
            '\t' => plain.push(' '),
            control if control.is_control() => {}
            other => plain.push(other),
        }
    }
    plain.trim_end().to_owned()
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

/// What the bootloader says before the offset of the app that it starts.
pub const LOADED: &str = "Loaded app from partition at offset ";
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
        for _ in 0..1000 {
            assert_eq!(lines.take(&[b'x'; 1000]), [""; 0]);
        }
        assert!(lines.line.capacity() <= 2 * LONGEST_LINE);
        let expected = format!("{} […]", "x".repeat(LONGEST_LINE));
        assert_eq!(lines.take(b"\nnext\n"), [expected, "next".to_owned()]);
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
        assert_eq!(found, ["I (30) boot: hi \u{fffd}\u{fffd}\u{fffd}(", "itle"]);
        let every: Vec<u8> = (0..=u8::MAX).collect();
        let text = lines.take(&every).concat() + &lines.rest().unwrap();
        assert!(!text.chars().any(char::is_control), "{text:?}");
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
