//! What is written, where, and what stays.

use esp_nvs::mem_flash::MemFlash;
use esp_nvs::{Key, Nvs};

use super::bench::{
    blank, entry, given, key, live_bytes, merged, of_others, others_are_there, page, refusal,
    sized, wifi, written,
};
use crate::agent::settings::{DEFAULT_POLL, LONGEST_POLL, Problem, SHORTEST_POLL, Wifi};
use crate::agent::url::{Url, UrlError};
use crate::device::nvs::page::{OLD_BLOB, PAGE, U8};
use crate::device::nvs::{Given, NvsError, changed_sectors, merge, settings};

#[test]
fn a_blank_partition_gets_all_settings_in_its_first_sector() {
    for pages in [2, 3, 5, 16] {
        let (merged, read) = merged(&blank(pages), &given());
        assert_eq!(changed_sectors(&blank(pages), &merged), [0]);
        assert_eq!(read.problems, []);
        let wifi = Wifi::new("Workshop".into(), Some("correct horse battery".into())).unwrap();
        assert_eq!(read.wifi, Some(wifi));
        let url = Url::parse("https://updates.example.com/thermostat").unwrap();
        assert_eq!(read.url, Some(url));
        assert_eq!((read.channel.as_deref(), read.poll_seconds), (Some("beta"), 900));
    }
}

#[test]
fn nothing_given_changes_nothing() {
    assert!(Given::default().is_empty() && !given().is_empty());
    for partition in [blank(1), blank(3), of_others(6)] {
        assert_eq!(merge(&partition, &Given::default()).unwrap(), partition);
    }
}

#[test]
fn what_others_keep_survives_byte_for_byte_and_one_sector_changes() {
    let before = of_others(6);
    let (after, _) = merged(&before, &given());
    others_are_there(&after);
    let live = live_bytes(&after);
    for value in live_bytes(&before) {
        assert!(live.contains(&value), "{:?}", String::from_utf8_lossy(&value[8..24]));
    }
    // The active one is full then, and another begins.
    assert_eq!(changed_sectors(&before, &after), [3, 2]);
}

#[test]
fn where_there_is_room_on_the_active_page_no_other_sector_changes() {
    let before = written(blank(6), |nvs| {
        for at in 0..200_u32 {
            nvs.set(&key("app"), &key(&format!("key{at}")), at).unwrap();
        }
    });
    let (after, _) = merged(&before, &given());
    assert_eq!(changed_sectors(&before, &after), [1]);
    let (again, _) = merged(&after, &wifi("Attic", Some("another passphrase")));
    assert_eq!(changed_sectors(&after, &again), [1]);
}

#[test]
fn settings_of_esp_idfs_generator_are_replaced_one_by_one() {
    let before = generated(5);
    let old = settings(&before).unwrap();
    let (after, read) = merged(&before, &wifi("Attic", Some("another passphrase")));
    assert_eq!(read.wifi.unwrap().ssid(), "Attic");
    assert_eq!((read.url, read.channel), (old.url.clone(), old.channel.clone()));
    assert_eq!((read.poll_seconds, read.problems), (900, vec![]));
    assert_eq!(changed_sectors(&before, &after), [0]);
    let mut poll = Given::default();
    poll.poll_seconds(60).unwrap();
    let (_, read) = merged(&after, &poll);
    assert_eq!((read.wifi.unwrap().ssid(), read.poll_seconds), ("Attic", 60));
}

/// The vector of ESP-IDF's generator, followed by erased flash.
fn generated(pages: usize) -> Vec<u8> {
    let hex = include_str!("../../../../tests/vectors/nvs/settings.hex");
    let digits: Vec<_> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let bytes = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap());
    let mut partition: Vec<_> = bytes.collect();
    partition.resize(pages * PAGE, 0xff);
    partition
}

#[test]
fn an_old_value_is_marked_as_erased() {
    let before = merge(&blank(3), &given()).unwrap();
    let mut channel = Given::default();
    channel.channel("stable").unwrap();
    let (after, _) = merged(&before, &channel);
    let name = |value: &Vec<u8>| value[8..].starts_with(b"channel\0");
    let values: Vec<_> = live_bytes(&after).into_iter().filter(name).collect();
    assert_eq!(values.len(), 1);
    assert!(values[0][32..].starts_with(b"stable\0"));
}

#[test]
fn a_value_of_another_type_is_replaced_too() {
    let before = written(blank(3), |nvs| {
        let ours = key("esp_ota");
        nvs.set(&ours, &key("url"), 1_u8).unwrap();
        nvs.set(&ours, &key("poll_s"), "900").unwrap();
        nvs.set(&ours, &key("channel"), &[1_u8; 5000][..]).unwrap();
        nvs.set(&ours, &key("wifi_ssid"), -1_i64).unwrap();
        nvs.set(&ours, &key("wifi_psk"), &b"12345678"[..]).unwrap();
    });
    assert_eq!(settings(&before).unwrap().problems.len(), 4);
    let (_, read) = merged(&before, &given());
    assert_eq!((read.problems, read.poll_seconds), (vec![], 900));
}

#[test]
fn a_full_active_page_is_followed_by_another() {
    for used in 115..=126_u32 {
        let before = written(blank(4), |nvs| {
            // With the entry of the namespace.
            for at in 1..used {
                nvs.set(&key("app"), &key(&format!("key{at}")), at).unwrap();
            }
        });
        let (after, read) = merged(&before, &given());
        assert_eq!((read.poll_seconds, read.problems), (900, vec![]), "{used} entries");
        let kept = live_bytes(&after);
        assert!(live_bytes(&before).iter().all(|value| kept.contains(value)), "{used} entries");
        assert_eq!(changed_sectors(&before, &after)[0], usize::from(used > 115), "{used} entries");
    }
}

#[test]
fn a_partition_that_is_nearly_full_is_tidied_to_make_room() {
    let filled = |nvs: &mut Nvs<MemFlash>, rounds: u32| {
        for at in 0..rounds {
            nvs.set(&key("app"), &key(&format!("key{}", at % 150)), at).unwrap();
        }
    };
    for rounds in [300, 350, 400, 450, 500] {
        let before = written(blank(3), |nvs| filled(nvs, rounds));
        let (after, read) = merged(&before, &given());
        assert_eq!((read.poll_seconds, read.problems), (900, vec![]), "{rounds} rounds");
        let kept = live_bytes(&after);
        assert!(live_bytes(&before).iter().all(|value| kept.contains(value)), "{rounds} rounds");
    }
}

#[test]
fn a_full_partition_is_refused_and_says_what_to_do() {
    let full = written(blank(3), |nvs| {
        for at in 0..250_u32 {
            nvs.set(&key("app"), &key(&format!("key{at}")), at).unwrap();
        }
    });
    assert_eq!(refusal(&full, &given()), NvsError::Full);
    let crowded = written(blank(6), |nvs| {
        for at in 0..254_u32 {
            nvs.set(&key(&format!("space{at}")), &key("key"), at).unwrap();
        }
    });
    assert_eq!(refusal(&crowded, &given()), NvsError::Full, "254 namespaces are all there can be");
}

#[test]
fn a_new_value_has_room_where_the_old_one_was() {
    // The last entries are the old settings; both do not fit.
    let before = merge(&blank(2), &given()).unwrap();
    let free = 126 - live_bytes(&before).iter().map(|value| value.len() / 32).sum::<usize>();
    let before = written(before, |nvs| {
        for at in 0..free - 1 {
            nvs.set(&key("app"), &key(&format!("key{at}")), u8::try_from(at).unwrap()).unwrap();
        }
    });
    let mut other = wifi("Attic", Some("another passphrase"));
    other.channel("stable").unwrap();
    let (after, read) = merged(&before, &other);
    assert_eq!(read.channel.as_deref(), Some("stable"));
    assert_eq!(live_bytes(&before).len(), live_bytes(&after).len());
}

#[test]
fn one_page_takes_nothing_and_is_read() {
    assert_eq!(refusal(&blank(1), &given()), NvsError::OnePage);
    let generated = generated(1);
    assert_eq!(settings(&generated).unwrap().poll_seconds, 900);
    let mut there = Given::default();
    there.poll_seconds(900).unwrap();
    assert_eq!(merge(&generated, &there).unwrap(), generated);
    assert_eq!(settings(&blank(1)).unwrap().poll_seconds, DEFAULT_POLL);
}

#[test]
fn a_length_that_is_no_pages_is_refused() {
    for len in [0, 1, 4095, 4097, 3 * 4096 - 1] {
        assert_eq!(refusal(&vec![0xff; len], &given()), NvsError::Size(len));
        assert_eq!(settings(&vec![0xff; len]), Err(NvsError::Size(len)));
    }
}

/// ESP-IDF wrote them before version 4.0. esp-nvs writes them anew, here as on the device.
#[test]
fn a_blob_of_the_old_form_keeps_its_bytes() {
    let data = [0x5a; 32];
    let app = entry(0, U8, 1, "app", [1, 255, 255, 255, 255, 255, 255, 255]);
    let blob = entry(1, OLD_BLOB, 2, "old", sized(&data));
    let before = [page(0, &[app, blob, data]), blank(2)].concat();
    let (after, _) = merged(&before, &given());
    let mut nvs = Nvs::new(0, after.len(), MemFlash::from_bytes(after)).unwrap();
    assert_eq!(nvs.get::<Vec<u8>>(&key("app"), &key("old")).unwrap(), data);
}

#[test]
fn names_that_are_no_ascii_survive() {
    let app = entry(0, U8, 1, "f\u{fc}r", [1, 255, 255, 255, 255, 255, 255, 255]);
    let value = entry(1, U8, 1, "schl\u{fc}ssel", [7, 255, 255, 255, 255, 255, 255, 255]);
    let before = [page(3, &[app, value]), blank(2)].concat();
    let (after, _) = merged(&before, &given());
    let kept = live_bytes(&after);
    assert!(kept.contains(&app.to_vec()) && kept.contains(&value.to_vec()));
}

#[test]
fn free_sectors_are_written_before_those_in_use() {
    let before = written(blank(4), |nvs| {
        for at in 0..125_u32 {
            nvs.set(&key("app"), &key(&format!("key{at}")), at).unwrap();
        }
        nvs.set(&key("app"), &key("key1"), 7_u32).unwrap();
    });
    let (after, _) = merged(&before, &given());
    assert_eq!(changed_sectors(&before, &after), [1]);
    let swapped = [&after[PAGE..2 * PAGE], &blank(1), &after[..PAGE], &blank(1)].concat();
    assert_eq!(changed_sectors(&before, &swapped), [2, 0, 1]);
}

#[test]
fn what_the_agent_would_not_use_is_not_given() {
    let mut given = Given::default();
    assert_eq!(given.wifi(String::new(), None), Err(Problem::Ssid));
    assert_eq!(given.wifi("Workshop".into(), Some("short".into())), Err(Problem::Psk));
    assert_eq!(given.url("http://u.example"), Err(Problem::Url(UrlError::Scheme)));
    let long = format!("https://{}", ["a".repeat(60).as_str(); 4].join("."));
    let longest = format!("{long}.{}", "a".repeat(255 - long.len() - 1));
    assert_eq!((longest.len(), Url::parse(&longest).is_ok()), (255, true));
    assert_eq!(given.url(&longest), Err(Problem::Url(UrlError::TooLong)), "with a `/` behind it");
    assert_eq!(given.channel("Beta"), Err(Problem::Channel));
    for seconds in [0, SHORTEST_POLL - 1, LONGEST_POLL + 1] {
        assert_eq!(given.poll_seconds(seconds), Err(Problem::Poll(seconds)));
    }
    assert!(given.is_empty());
}

#[test]
fn settings_are_written_where_the_agent_looks_for_them() {
    let (after, _) = merged(&blank(3), &given());
    let mut nvs = Nvs::new(0, after.len(), MemFlash::from_bytes(after)).unwrap();
    let names: Vec<_> = nvs.keys().map(|found| found.unwrap().1.to_string()).collect();
    assert_eq!(names, ["wifi_ssid", "wifi_psk", "url", "channel", "poll_s"]);
    assert_eq!(names, given().names());
    assert_eq!(nvs.namespaces().map(Key::as_str).collect::<Vec<_>>(), ["esp_ota"]);
}
