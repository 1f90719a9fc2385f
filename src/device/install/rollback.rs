//! Whether a bootloader takes back an image that was never confirmed, as far as its bytes tell.
//!
//! ESP-IDF's `CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE` leaves no mark of its own: the descriptor does
//! not state it. But the code that it adds logs at level debug, and where anti-rollback is on as
//! well, at level info, in words that stand nowhere else (`bootloader_utility.c`). A bootloader with
//! the default level, info, and without anti-rollback looks the same with rollback and without.

/// An answer, with what tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// `yes`, `no` or `unknown`.
    pub answer: &'static str,
    /// What tells.
    pub because: &'static str,
}

/// Words of the code that `CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE` adds, and of anti-rollback, which
/// needs it.
const ONLY_WITH: [&[u8]; 3] = [
    b"is marking as ABORTED",
    b"marked PENDING_VERIFY state",
    b"check secure version of app for anti rollback",
];
/// Words that the same function logs at level debug in any case.
const ALWAYS_AT_DEBUG: [&[u8]; 2] = [b"otadata[0]: sequence values 0x", b"Mapping seq %"];

/// What is known of the bootloaders that come with espflash.
pub const OF_ESPFLASH: Rollback = Rollback { answer: "no", because: "espflash builds it without" };

/// What the bytes of a bootloader tell.
pub fn rollback(bootloader: &[u8]) -> Rollback {
    let says = |words: &[u8]| bootloader.windows(words.len()).any(|part| part == words);
    if ONLY_WITH.iter().any(|words| says(words)) {
        let because = "it has words that ESP-IDF's bootloader has with rollback only";
        Rollback { answer: "yes", because }
    } else if ALWAYS_AT_DEBUG.iter().all(|words| says(words)) {
        let because = "it logs at level debug, and has no words of rollback";
        Rollback { answer: "no", because }
    } else {
        Rollback { answer: "unknown", because: "at its log level nothing tells" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;
    use crate::flash_size::FlashSize;
    use crate::image::bootloader;

    fn answer(texts: &[&str]) -> &'static str {
        rollback(texts.join("\n\0").as_bytes()).answer
    }

    #[test]
    fn only_words_of_rollback_say_yes_and_only_their_absence_at_level_debug_says_no() {
        let debug = ["D (%lu) %s: otadata[0]: sequence values 0x%08lx", "Mapping seq %lu -> OTA"];
        let marking = "D (%lu) %s: otadata[%d] is marking as ABORTED";
        assert_eq!(answer(&[&debug[..], &[marking]].concat()), "yes");
        assert_eq!(answer(&["Enabled a check secure version of app for anti rollback"]), "yes");
        assert_eq!(answer(&debug), "no");
        assert_eq!(answer(&debug[..1]), "unknown");
        assert_eq!(answer(&["I (%lu) %s: No factory image, trying OTA 0"]), "unknown");
        assert_eq!(answer(&[]), "unknown");
    }

    #[test]
    fn espflashs_own_bootloaders_do_not_tell_by_their_bytes() {
        for chip in Chip::ALL {
            let bytes = bootloader(chip, FlashSize::DEFAULT).unwrap();
            assert_eq!(rollback(&bytes).answer, "unknown", "{chip}");
        }
    }
}
