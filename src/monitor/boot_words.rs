//! The lines of the chip's ROM, of ESP-IDF's bootloader, and of programs that end by themselves.

use super::Event;

/// What the bootloader says before the offset of the app that it starts.
pub const LOADED: &str = "Loaded app from partition at offset ";
/// How the lines begin by which programs of esp-hal and ESP-IDF end. What follows says where or why.
const CRASHES: [&str; 7] = [
    "panicked at ",
    "Guru Meditation Error: ",
    "abort() was called at ",
    "assert failed: ",
    "Task watchdog got triggered",
    "Brownout detector was triggered",
    "***ERROR*** A stack overflow in task ",
];

/// How the ROM says that there is no bootloader, or a damaged one: it does so again and again.
const NO_BOOTLOADER: [&str; 3] = ["invalid header: 0x", "flash read err, ", "csum err:0x"];

/// The event of a line of the ROM, the bootloader or a crash, if it is one.
pub(super) fn event(line: &str) -> Option<Event> {
    if let Some(rest) = line.strip_prefix("rst:") {
        return reset(rest);
    }
    if line == "waiting for download" {
        return Some(Event::Download);
    }
    if let Some(offset) = line.split_once(LOADED).and_then(|(_, offset)| hexadecimal(offset)) {
        return Some(Event::Boots { offset, slot: None });
    }
    if NO_BOOTLOADER.iter().any(|start| line.starts_with(start)) {
        return Some(Event::BootTrouble { reason: line.to_owned() });
    }
    if let Some(reason) = trouble(line) {
        return Some(Event::BootTrouble { reason: reason.to_owned() });
    }
    let text = without_head(line);
    let is_crash = CRASHES.iter().any(|start| text.starts_with(start)) || is_panic_of_std(text);
    is_crash.then(|| Event::Crash { reason: text.to_owned() })
}

/// A line without the head of an error in a log: `E (905294) task_wdt: `, or early `E BOD: `.
fn without_head(line: &str) -> &str {
    let text = || {
        let rest = line.strip_prefix("E ")?;
        let rest = if rest.starts_with('(') { rest.split_once(") ")?.1 } else { rest };
        let (tag, text) = rest.split_once(": ")?;
        (!tag.contains(' ')).then_some(text)
    };
    text().unwrap_or(line)
}

/// How a thread of Rust's standard library ends: `thread 'main' panicked at …`, and since 1.91
/// `thread 'main' (1) panicked at …`.
fn is_panic_of_std(text: &str) -> bool {
    let thread = text.strip_prefix("thread '").and_then(|rest| rest.split_once(" panicked at "));
    thread.is_some_and(|(name, _)| name.ends_with(['\'', ')']))
}

/// `0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)`
fn reset(text: &str) -> Option<Event> {
    let (reason, mode) = text.split_once(",boot:")?;
    let word = |text: &str| Some(text.split_once('(')?.1.strip_suffix(')')?.to_owned());
    Some(Event::Reset { reason: word(reason)?, mode: word(mode)? })
}

/// What the bootloader says as an error: `E (123) boot: …`. Programs write their log alike, with tags
/// of their own.
fn trouble(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("E (")?.split_once(") ")?;
    let (tag, reason) = rest.split_once(": ")?;
    let is_bootloader = tag == "boot"
        || tag.starts_with("boot.")
        || ["esp_image", "flash_parts", "secure_boot_v2", "bootloader_common"].contains(&tag);
    is_bootloader.then_some(reason)
}

/// A row of the table that the bootloader prints, an app's: its offset, and the usual name of its
/// slot.
pub(super) fn app_partition(line: &str) -> Option<(u32, String)> {
    let (_, row) = line.strip_prefix("I (")?.split_once(") boot: ")?;
    // `2 app0   OTA app   00 10 00010000 00140000`: a label may have spaces, and a usage has.
    let mut words = row.split_whitespace().rev().skip(1);
    let offset = u32::from_str_radix(words.next()?, 16).ok()?;
    let subtype = u8::from_str_radix(words.next()?, 16).ok()?;
    let is_app = words.next()? == "00";
    let name = match subtype {
        0x00 => "factory".to_owned(),
        0x10..=0x1f => format!("ota_{}", subtype & 0x0f),
        0x20 => "test".to_owned(),
        _ => return None,
    };
    is_app.then_some((offset, name))
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rom_says_why_it_starts() {
        for (line, reason, mode) in [
            ("rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)", "POWERON", "SPI_FAST_FLASH_BOOT"),
            (
                "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
                "POWERON_RESET",
                "SPI_FAST_FLASH_BOOT",
            ),
            (
                "rst:0x15 (USB_UART_CHIP_RESET),boot:0x0 (DOWNLOAD(USB/UART0/1))",
                "USB_UART_CHIP_RESET",
                "DOWNLOAD(USB/UART0/1)",
            ),
        ] {
            let expected = Event::Reset { reason: reason.into(), mode: mode.into() };
            assert_eq!(event(line), Some(expected), "{line}");
        }
        assert_eq!(event("waiting for download"), Some(Event::Download));
        for line in ["rst:", "rst:0x1 (", "rst:0x1 (A),boot:0x8", "rst:0x1 A,boot:(B)"] {
            assert_eq!(event(line), None, "{line}");
        }
    }

    #[test]
    fn the_bootloader_says_which_app_it_starts_and_where_apps_are() {
        let line = "I (191) boot: Loaded app from partition at offset 0x150000";
        assert_eq!(event(line), Some(Event::Boots { offset: 0x15_0000, slot: None }));
        for line in
            ["Loaded app from partition at offset 10", "Loaded app from partition at offset "]
        {
            assert_eq!(event(line), None, "{line}");
        }
        for (line, found) in [
            (
                "I (22) boot:  2 app0             OTA app          00 10 00010000 00140000",
                Some((0x1_0000, "ota_0")),
            ),
            (
                "I (22) boot:  3 my app 1         OTA app          00 1f 00150000 00140000",
                Some((0x15_0000, "ota_15")),
            ),
            (
                "I (57) boot:  2 factory          factory app      00 00 00010000 00100000",
                Some((0x1_0000, "factory")),
            ),
            (
                "I (57) boot:  2 test             test app         00 20 00010000 00100000",
                Some((0x1_0000, "test")),
            ),
            ("I (20) boot:  0 nvs              WiFi data        01 02 00009000 00005000", None),
            ("I (19) boot: ## Label            Usage          Type ST Offset   Length", None),
            ("I (7) boot: chip revision: v0.3", None),
            ("I (7) boot: ", None),
        ] {
            let expected = found.map(|(offset, name)| (offset, name.to_owned()));
            assert_eq!(app_partition(line), expected, "{line}");
        }
    }

    #[test]
    fn errors_of_rom_and_bootloader_are_told_from_those_of_a_program() {
        let trouble = |reason: &str| Some(Event::BootTrouble { reason: reason.into() });
        let line = "E (52) boot: No bootable app partitions in the partition table";
        assert_eq!(event(line), trouble("No bootable app partitions in the partition table"));
        let line = "E (88) esp_image: Checksum failed. Calculated 0x4d read 0xff";
        assert_eq!(event(line), trouble("Checksum failed. Calculated 0x4d read 0xff"));
        assert_eq!(event("invalid header: 0xffffffff"), trouble("invalid header: 0xffffffff"));
        assert_eq!(event("E (88) my_app: it rains"), None);
        assert_eq!(event("W (88) boot: PRO CPU has been reset by WDT."), None);
    }

    #[test]
    fn a_program_that_ends_by_itself_is_a_crash() {
        for (head, text) in [
            ("", "panicked at src/pump.rs:21:5:"),
            ("", "thread 'main' panicked at src/main.rs:12:5:"),
            ("", "thread '<unnamed>' (2) panicked at src/main.rs:12:5:"),
            (
                "",
                "Guru Meditation Error: Core  0 panic'ed (Load access fault). Exception was \
                 unhandled.",
            ),
            ("", "abort() was called at PC 0x42007ae4 on core 0"),
            ("", "assert failed: app_main main.c:7 (false)"),
            ("", "***ERROR*** A stack overflow in task main has been detected."),
            ("", "Brownout detector was triggered"),
            ("E BOD: ", "Brownout detector was triggered"),
            (
                "E (905294) task_wdt: ",
                "Task watchdog got triggered. The following tasks/users did not reset the \
                 watchdog in time:",
            ),
            ("E (12:34:56.789) x: ", "assert failed: app_main main.c:7 (false)"),
        ] {
            let expected = Event::Crash { reason: text.into() };
            assert_eq!(event(&format!("{head}{text}")), Some(expected), "{head}{text}");
        }
        for line in [
            "nobody panicked at noon",
            "thread 'main' says that somebody panicked at noon",
            "E (1) main: nobody panicked at noon",
            "E it says: panicked at noon",
            "I (1) main: panicked at noon",
            "E (1) task_wdt: Tasks currently running:",
        ] {
            assert_eq!(event(line), None, "{line}");
        }
    }
}
