//! From lines to events, with what earlier lines have said.

use super::{Event, agent_words, boot_words};

/// App partitions of the largest table: `factory`, `test` and 16 slots.
const MOST_SLOTS: usize = 18;

/// What is kept between two lines.
#[derive(Debug, Default)]
pub struct Decoder {
    /// App partitions that the bootloader has listed, by their offset.
    slots: Vec<(u32, String)>,
    /// Bytes of the release that is downloaded.
    size: Option<u32>,
    /// The image runs although nothing selects it. Once it is selected, the firmware says `confirmed`
    /// too, and no trial has ended by that.
    is_last_resort: bool,
}

impl Decoder {
    /// What a line means, if that is anything. It is text without colours, as
    /// [`plain`](super::plain) makes it.
    pub fn event(&mut self, line: &str) -> Option<Event> {
        let line = line.trim();
        if let Some(row) = boot_words::app_partition(line) {
            if self.slots.len() < MOST_SLOTS {
                self.slots.push(row);
            }
            return None;
        }
        let mut event = agent_words::event(line).or_else(|| boot_words::event(line))?;
        match &mut event {
            Event::Reset { .. } => *self = Self::default(),
            Event::Boots { offset, slot } => {
                let found = self.slots.iter().find(|(start, _)| start == offset);
                *slot = found.map(|(_, name)| name.clone());
            }
            Event::Found { size, .. } => self.size = Some(*size),
            Event::Progress { size, .. } => *size = self.size,
            Event::LastResort => self.is_last_resort = true,
            Event::OnTrial { .. } => self.is_last_resort = false,
            Event::Confirmed if self.is_last_resort => event = Event::Settled,
            _ => {}
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_that_boots_is_found_in_the_table_that_was_listed() {
        let mut decoder = Decoder::default();
        let loaded = "I (191) boot: Loaded app from partition at offset 0x150000";
        let boots = |slot: Option<&str>| {
            Some(Event::Boots { offset: 0x15_0000, slot: slot.map(str::to_owned) })
        };
        assert_eq!(decoder.event(loaded), boots(None));
        let row = "I (22) boot:  3 app1             OTA app          00 11 00150000 00140000";
        for _ in 0..1000 {
            assert_eq!(decoder.event(row), None);
        }
        assert_eq!(decoder.slots.len(), MOST_SLOTS);
        assert_eq!(decoder.event(loaded), boots(Some("ota_1")));
        decoder.event("rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)").unwrap();
        assert_eq!(decoder.event(loaded), boots(None), "another bootloader may be there now");
    }

    #[test]
    fn progress_is_told_of_the_release_that_was_found() {
        let mut decoder = Decoder::default();
        let progress = |size| Some(Event::Progress { received: 131_072, size });
        assert_eq!(decoder.event("updates: 131072 bytes"), progress(None));
        decoder.event("updates: found 0.1.1, 655504 bytes").unwrap();
        assert_eq!(decoder.event("updates: 131072 bytes"), progress(Some(655_504)));
    }

    #[test]
    fn a_last_resort_that_settles_confirms_nothing() {
        let mut decoder = Decoder::default();
        let confirmed = "updates: confirmed";
        assert_eq!(decoder.event(confirmed), Some(Event::Confirmed));
        let last_resort = "updates: this image is the last resort: otadata does not select it";
        assert_eq!(decoder.event(last_resort), Some(Event::LastResort));
        for _ in 0..2 {
            assert_eq!(decoder.event(confirmed), Some(Event::Settled));
        }
        for next in ["updates: this image is on trial", "rst:0x1 (POWERON),boot:0x8 (SPI)"] {
            decoder.event(last_resort).unwrap();
            decoder.event(next).unwrap();
            assert_eq!(decoder.event(confirmed), Some(Event::Confirmed), "{next}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_strange(line in "(updates: |rst:|E \\(|I \\(1\\) boot: |STACK)?\\PC{0,200}") {
            let _ = Decoder::default().event(&line);
            let _ = super::super::addresses(&line);
        }
    }
}
