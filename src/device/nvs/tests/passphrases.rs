//! What becomes of a passphrase that is replaced, taken out, or was damaged.

use super::bench::{
    blank, key, live_bytes, merged, of_others, others_are_there, refusal, wifi, written,
};
use crate::agent::settings::Problem;
use crate::device::nvs::{NvsError, merge, settings};

const OLD: &str = "correct horse battery";

fn holds(partition: &[u8], text: &str) -> bool {
    partition.windows(text.len()).any(|window| window == text.as_bytes())
}

fn before() -> Vec<u8> {
    merge(&of_others(6), &wifi("Workshop", Some(OLD))).unwrap()
}

#[test]
fn a_replaced_passphrase_can_be_read_by_nobody() {
    assert!(holds(&before(), OLD));
    let (after, read) = merged(&before(), &wifi("Attic", Some("another passphrase")));
    assert!(!holds(&after, OLD));
    assert_eq!(read.wifi.unwrap().psk().unwrap().reveal(), "another passphrase");
    others_are_there(&after);
}

#[test]
fn an_open_network_is_joined_where_a_passphrase_was() {
    let (after, read) = merged(&before(), &wifi("Workshop", None));
    assert!(!holds(&after, OLD) && !holds(&after, "wifi_psk"));
    assert_eq!(read.problems, []);
    let wifi = read.wifi.unwrap();
    assert_eq!((wifi.ssid(), wifi.psk()), ("Workshop", None));
    others_are_there(&after);
}

/// On a page that has long been full, and not where the settings are now.
#[test]
fn a_passphrase_that_was_taken_out_long_ago_is_no_obstacle() {
    let before = written(before(), |nvs| {
        nvs.delete(&key("esp_ota"), &key("wifi_psk")).unwrap();
        for at in 0..130_u32 {
            nvs.set(&key("app"), &key("u32"), at).unwrap();
        }
        nvs.set(&key("app"), &key("u32"), 32_u32).unwrap();
    });
    assert!(holds(&before, OLD));
    assert_eq!(settings(&before).unwrap().problems, [Problem::PskLost]);
    let (after, read) = merged(&before, &wifi("Workshop", None));
    assert!(!holds(&after, OLD));
    assert_eq!(read.problems, []);
    others_are_there(&after);
}

#[test]
fn no_old_passphrase_is_touched_where_no_network_is_given() {
    let before = written(before(), |nvs| {
        nvs.delete(&key("esp_ota"), &key("wifi_psk")).unwrap();
    });
    let mut channel = crate::device::nvs::Given::default();
    channel.channel("beta").unwrap();
    let (after, read) = merged(&before, &channel);
    assert!(holds(&after, OLD));
    assert_eq!(read.problems, [Problem::PskLost]);
    assert_eq!(read.channel.as_deref(), Some("beta"));
}

/// Bits of the name that flipped after it was marked as erased, and a checksum that no longer fits.
#[test]
fn a_damaged_old_passphrase_is_found_as_the_agent_finds_it() {
    let sound = written(before(), |nvs| {
        nvs.delete(&key("esp_ota"), &key("wifi_psk")).unwrap();
    });
    let at = sound.windows(9).position(|window| window == b"wifi_psk\0").unwrap();
    for bits in [[0, 0, 0], [1, 0, 0], [1, 2, 0], [1, 2, 4]] {
        let mut damaged = sound.clone();
        for (byte, bits) in damaged[at + 2..].iter_mut().zip(bits) {
            *byte ^= bits;
        }
        assert_eq!(settings(&damaged).unwrap().problems, [Problem::PskLost]);
        let (after, read) = merged(&damaged, &wifi("Workshop", None));
        assert!(read.problems.is_empty() && !holds(&after, OLD));
    }
}

#[test]
fn the_name_of_a_passphrase_that_is_somebody_elses_is_not_touched() {
    let before = written(blank(3), |nvs| {
        nvs.set(&key("app"), &key("wifi_psk"), "their passphrase").unwrap();
    });
    assert_eq!(refusal(&before, &wifi("Workshop", None)), NvsError::Trace);
    let (after, read) = merged(&before, &wifi("Workshop", Some(OLD)));
    assert!(holds(&after, "their passphrase"));
    assert_eq!(read.wifi.unwrap().psk().unwrap().reveal(), OLD);
    let kept = live_bytes(&after);
    assert!(live_bytes(&before).iter().all(|value| kept.contains(value)));
}

#[test]
fn no_passphrase_is_shown_by_accident() {
    let given = wifi("Workshop", Some(OLD));
    assert!(!format!("{given:?}").contains("horse"));
    assert_eq!(given.names(), ["wifi_ssid", "wifi_psk"]);
}
