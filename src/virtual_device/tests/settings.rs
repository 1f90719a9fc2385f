//! What the agent makes of the settings in NVS, written by esp-nvs and by ESP-IDF's own tool.

use esp_nvs::mem_flash::MemFlash;
use esp_nvs::{Key, Nvs, Set};

use super::bench::{FLASH, NVS};
use super::memory::{get, open};
use crate::agent::ports::Store;
use crate::agent::settings::{
    DEFAULT_POLL, LONGEST_POLL, Problem, SHORTEST_POLL, Settings, Wifi, is_channel,
};
use crate::agent::url::{Url, UrlError};
use crate::config::Name;
use crate::virtual_device::flash::{Cut, FlashHandle, Moment, VirtualFlash};

/// Flash whose `nvs` partition begins with these bytes.
fn flash(partition: &[u8]) -> FlashHandle {
    let mut bytes = vec![0xff; FLASH];
    let start = usize::try_from(NVS.start).unwrap();
    bytes[start..start + partition.len()].copy_from_slice(partition);
    FlashHandle::new(VirtualFlash::with_contents(bytes))
}

/// Flash to which esp-nvs wrote what `write` says.
fn written(write: impl FnOnce(&mut Cable)) -> FlashHandle {
    let pages = usize::try_from(NVS.len).unwrap() / 0x1000;
    let mut memory = MemFlash::new(pages);
    write(&mut Cable(Nvs::new(0, pages * 0x1000, &mut memory).unwrap()));
    flash(&memory.into_inner())
}

/// What writes settings.
struct Cable<'a>(Nvs<&'a mut MemFlash>);

impl Cable<'_> {
    fn set<T>(&mut self, key: &str, value: T)
    where
        for<'a> Nvs<&'a mut MemFlash>: Set<T>,
    {
        self.0.set(&Key::from_str("esp_ota"), &Key::from_str(key), value).unwrap();
    }
}

fn read(flash: &FlashHandle) -> Settings {
    Settings::read(&mut open(flash))
}

/// The only problem of settings that are this one.
#[track_caller]
fn problem_of(key: &str, value: &str) -> Problem {
    let settings = read(&written(|cable| cable.set(key, value)));
    let expected = Settings {
        wifi: None,
        url: None,
        channel: None,
        poll_seconds: DEFAULT_POLL,
        problems: settings.problems.clone(),
    };
    assert_eq!(settings, expected, "{key} = {value}");
    assert_eq!(settings.problems.len(), 1, "{key} = {value}: {:?}", settings.problems);
    settings.problems[0]
}

#[test]
fn settings_that_esp_idf_wrote_are_read() {
    let hex = include_str!("../../../tests/vectors/nvs/settings.hex");
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect();
    let settings = read(&flash(&bytes));
    assert_eq!(settings.problems, []);
    let wifi = settings.wifi.unwrap();
    assert_eq!(wifi.ssid(), "Workshop");
    assert_eq!(wifi.psk().map(|psk| psk.reveal()), Some("correct horse battery"));
    let url = Url::parse("https://updates.example.com:8443/thermostat/").unwrap();
    assert_eq!(settings.url, Some(url));
    assert_eq!(settings.channel.as_deref(), Some("beta"));
    assert_eq!(settings.poll_seconds, 900);
}

#[test]
fn a_device_without_settings_has_no_network_and_no_problem() {
    let none = Settings {
        wifi: None,
        url: None,
        channel: None,
        poll_seconds: DEFAULT_POLL,
        problems: vec![],
    };
    let blank = FlashHandle::new(VirtualFlash::new(FLASH));
    assert_eq!(read(&blank), none);
    open(&blank).set("tuf_state", &[1; 65]).unwrap();
    assert_eq!(read(&blank), none, "the agent's own memory is no setting");
}

#[test]
fn settings_and_memory_do_not_meet() {
    let flash = written(|cable| {
        cable.set("channel", "beta");
        cable.set("wifi_ssid", "Workshop");
    });
    let mut store = open(&flash);
    assert_eq!(get(&mut store, "channel"), None);
    for round in 0..60u8 {
        store.set("channel", &[round; 200]).unwrap();
    }
    let settings = Settings::read(&mut store);
    assert_eq!(settings.channel.as_deref(), Some("beta"));
    assert_eq!(settings.wifi.unwrap().psk(), None, "an open network");
    assert_eq!(get(&mut open(&flash), "channel"), Some(vec![59; 200]));
}

#[test]
fn an_ssid_of_no_length_or_too_much_is_no_network() {
    for ssid in [String::new(), "a".repeat(33), "ü".repeat(17), "a\0b".into()] {
        assert_eq!(problem_of("wifi_ssid", &ssid), Problem::Ssid);
    }
    for ssid in ["a".to_owned(), "ü".repeat(16), " ".repeat(32)] {
        assert_eq!(read(&written(|cable| cable.set("wifi_ssid", ssid.as_str()))).problems, []);
    }
}

#[test]
fn a_bad_passphrase_does_not_make_an_open_network() {
    let digits = "0123456789abcdefABCDEF".repeat(3);
    for (psk, is_good) in [
        ("", false),
        ("1234567", false),
        ("12345678", true),
        (&"a".repeat(63), true),
        (&"g".repeat(64), false),
        (&digits[..64], true),
        (&digits[..65], false),
        ("passwört", false),
        ("pass\tword", false),
        ("pass word~", true),
    ] {
        let settings = read(&written(|cable| {
            cable.set("wifi_ssid", "Workshop");
            cable.set("wifi_psk", psk);
        }));
        let problems: &[Problem] = if is_good { &[] } else { &[Problem::Psk] };
        assert_eq!(settings.problems, problems, "{psk}");
        let kept = settings.wifi.as_ref().and_then(Wifi::psk).map(|psk| psk.reveal());
        assert_eq!(kept, is_good.then_some(psk));
        assert_eq!(settings.wifi.is_some(), is_good, "{psk}");
    }
    assert_eq!(problem_of("wifi_psk", "12345678"), Problem::PskAlone);
}

/// A device that lost its passphrase must not join whatever has the name of its network. What is
/// damaged is marked as erased at the first start, and still has to be known at the next ones.
#[test]
fn a_damaged_passphrase_does_not_make_an_open_network_at_any_start() {
    let psk = "correct horse";
    let sound = written(|cable| {
        cable.set("wifi_ssid", "Workshop");
        cable.set("wifi_psk", psk);
    });
    let bytes = sound.with(|flash| flash.contents().to_vec());
    let start = usize::try_from(NVS.start).unwrap();
    let find = |name: &[u8]| bytes.windows(name.len()).position(|it| it == name).unwrap();
    // An entry of 32 bytes, its name at 8, and its text behind it; and its marks in the page's map.
    let entry = find(b"wifi_psk\0") - 8;
    let mark = start + 32 + (entry - start - 64) / 32 / 4;
    for at in (entry..entry + 32 + psk.len()).chain([mark]) {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let device = FlashHandle::new(VirtualFlash::with_contents(damaged));
            for boot in 1..=3 {
                let settings = read(&device);
                let is_open = settings.wifi.as_ref().is_some_and(|wifi| wifi.psk().is_none());
                assert!(!is_open, "byte {} bit {bit} boot {boot}", at - entry);
                assert!(settings.wifi.is_some() || !settings.problems.is_empty());
            }
        }
    }
    // A passphrase that was taken out leaves the same trace.
    let taken = written(|cable| {
        cable.set("wifi_ssid", "Workshop");
        cable.set("wifi_psk", psk);
        cable.0.delete(&Key::from_str("esp_ota"), &Key::from_str("wifi_psk")).unwrap();
    });
    assert_eq!(read(&taken).problems, [Problem::PskLost]);
    assert!(Problem::PskLost.to_string().contains("erase `nvs` and write the settings anew"));
}

#[test]
fn a_passphrase_is_not_shown_by_accident() {
    let wifi = Wifi::new("Workshop".into(), Some("12345678".into())).unwrap();
    assert!(!format!("{wifi:?}").contains("1234"), "{wifi:?}");
    let bad = Wifi::new("Workshop".into(), Some("1234567".into())).unwrap_err();
    assert!(!format!("{bad:?} {bad}").contains("1234567"), "{bad}");
}

#[test]
fn a_url_or_a_channel_that_is_none_is_said() {
    assert_eq!(problem_of("url", "http://u.example"), Problem::Url(UrlError::Scheme));
    assert_eq!(problem_of("url", ""), Problem::Url(UrlError::Scheme));
    let long = format!("https://u.example/{}", "a".repeat(256));
    assert_eq!(problem_of("url", &long), Problem::Url(UrlError::TooLong));
    for channel in ["", "Beta", "a b", "../x", "-beta", &"a".repeat(33)] {
        assert_eq!(problem_of("channel", channel), Problem::Channel);
    }
}

#[test]
fn a_poll_interval_out_of_range_is_brought_into_it_and_said() {
    for (asked, used) in [
        (0, SHORTEST_POLL),
        (SHORTEST_POLL - 1, SHORTEST_POLL),
        (SHORTEST_POLL, SHORTEST_POLL),
        (LONGEST_POLL, LONGEST_POLL),
        (LONGEST_POLL + 1, LONGEST_POLL),
        (u32::MAX, LONGEST_POLL),
    ] {
        let settings = read(&written(|cable| cable.set("poll_s", asked)));
        let problems = if asked == used { vec![] } else { vec![Problem::Poll(asked)] };
        assert_eq!((settings.poll_seconds, settings.problems), (used, problems));
    }
}

#[test]
fn a_setting_of_another_type_is_said_and_not_passed_over() {
    let settings = read(&written(|cable| {
        cable.set("wifi_ssid", &b"Workshop"[..]);
        cable.set("wifi_psk", 12_345_678_u32);
        cable.set("url", true);
        cable.set("channel", 1_u8);
        cable.set("poll_s", "900");
    }));
    let keys = ["wifi_psk", "url", "channel", "poll_s"];
    assert_eq!(settings.problems, keys.map(Problem::Kind), "wifi_ssid is the second one of wifi");
    assert_eq!((settings.wifi, settings.poll_seconds), (None, DEFAULT_POLL));
    let signed = read(&written(|cable| cable.set("poll_s", 900_i32)));
    assert_eq!(signed.problems, [Problem::Kind("poll_s")]);
}

#[test]
fn flash_that_cannot_be_read_is_no_device_without_settings() {
    let flash = written(|cable| cable.set("wifi_ssid", "Workshop"));
    let mut store = open(&flash);
    let operation = flash.with(|flash| flash.operations());
    flash.with(|flash| flash.cut_at(Cut { operation, moment: Moment::Before, seed: 0 }));
    assert!(store.set("pending", b"x").is_err(), "the power goes");
    let settings = Settings::read(&mut store);
    assert_eq!(settings.problems, [Problem::Unreadable("wifi_ssid")]);
    assert_eq!(settings.wifi, None);
}

proptest::proptest! {
    #[test]
    fn a_channel_has_the_names_of_the_project_file(name in "[a-zA-Z0-9_.-]{0,34}|\\PC{0,4}") {
        assert_eq!(is_channel(&name), name.parse::<Name>().is_ok(), "{name}");
    }
}
