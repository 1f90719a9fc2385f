//! Partitions to merge into, made by esp-nvs, by ESP-IDF's generator and entry by entry.

use esp_nvs::mem_flash::MemFlash;
use esp_nvs::platform::software_crc32;
use esp_nvs::{Get, Key, Nvs};

use crate::agent::settings::Settings;
use crate::device::nvs::page::{PAGE, Page, pages};
use crate::device::nvs::{Given, NvsError, merge, settings};

/// What most tests give: all there is.
pub(super) fn given() -> Given {
    let mut given = Given::default();
    given.wifi("Workshop".into(), Some("correct horse battery".into())).unwrap();
    given.url("https://updates.example.com/thermostat").unwrap();
    given.channel("beta").unwrap();
    given.poll_seconds(900).unwrap();
    given
}

/// A network alone.
pub(super) fn wifi(ssid: &str, psk: Option<&str>) -> Given {
    let mut given = Given::default();
    given.wifi(ssid.into(), psk.map(Into::into)).unwrap();
    given
}

pub(super) fn blank(pages: usize) -> Vec<u8> {
    vec![0xff; pages * PAGE]
}

/// A partition to which esp-nvs writes what `write` says.
pub(super) fn written(partition: Vec<u8>, write: impl FnOnce(&mut Nvs<MemFlash>)) -> Vec<u8> {
    let len = partition.len();
    let mut nvs = Nvs::new(0, len, MemFlash::from_bytes(partition)).unwrap();
    write(&mut nvs);
    nvs.into_inner().into_inner()
}

pub(super) fn key(name: &str) -> Key {
    Key::from_str(name)
}

/// What others keep: every type, several namespaces, and a blob over three pages.
pub(super) fn of_others(pages: usize) -> Vec<u8> {
    written(blank(pages), |nvs| {
        let app = key("app");
        nvs.set(&app, &key("u8"), 8_u8).unwrap();
        nvs.set(&app, &key("u16"), 16_u16).unwrap();
        nvs.set(&app, &key("u32"), 32_u32).unwrap();
        nvs.set(&app, &key("u64"), 64_u64).unwrap();
        nvs.set(&app, &key("i8"), -8_i8).unwrap();
        nvs.set(&app, &key("i16"), -16_i16).unwrap();
        nvs.set(&app, &key("i32"), -32_i32).unwrap();
        nvs.set(&app, &key("i64"), -64_i64).unwrap();
        nvs.set(&app, &key("text"), "of no interest here").unwrap();
        nvs.set(&app, &key("none"), "").unwrap();
        nvs.set(&app, &key("large"), large().as_slice()).unwrap();
        nvs.set(&key("phy"), &key("cal_data"), &[7_u8; 1904][..]).unwrap();
        nvs.set(&key("phy"), &key("url"), "the same name elsewhere").unwrap();
        nvs.set(&key("esp_ota_st"), &key("tuf_state"), &[9_u8; 65][..]).unwrap();
        // Not one of ours, though in our namespace.
        nvs.set(&key("esp_ota"), &key("mine"), 1_u8).unwrap();
    })
}

/// A blob that needs three pages.
fn large() -> Vec<u8> {
    (0..9000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

/// That esp-nvs reads all of [`of_others`].
#[track_caller]
pub(super) fn others_are_there(partition: &[u8]) {
    let flash = MemFlash::from_bytes(partition.to_vec());
    let mut nvs = Nvs::new(0, partition.len(), flash).unwrap();
    assert_eq!(found(&mut nvs, "app", "u8"), Some(8_u8));
    assert_eq!(found(&mut nvs, "app", "u16"), Some(16_u16));
    assert_eq!(found(&mut nvs, "app", "u32"), Some(32_u32));
    assert_eq!(found(&mut nvs, "app", "u64"), Some(64_u64));
    assert_eq!(found(&mut nvs, "app", "i8"), Some(-8_i8));
    assert_eq!(found(&mut nvs, "app", "i16"), Some(-16_i16));
    assert_eq!(found(&mut nvs, "app", "i32"), Some(-32_i32));
    assert_eq!(found(&mut nvs, "app", "i64"), Some(-64_i64));
    assert_eq!(found(&mut nvs, "app", "text"), Some("of no interest here".to_owned()));
    assert_eq!(found(&mut nvs, "app", "none"), Some(String::new()));
    assert_eq!(found(&mut nvs, "app", "large"), Some(large()));
    assert_eq!(found(&mut nvs, "phy", "cal_data"), Some(vec![7_u8; 1904]));
    assert_eq!(found(&mut nvs, "phy", "url"), Some("the same name elsewhere".to_owned()));
    assert_eq!(found(&mut nvs, "esp_ota_st", "tuf_state"), Some(vec![9_u8; 65]));
    assert_eq!(found(&mut nvs, "esp_ota", "mine"), Some(1_u8));
}

fn found<T>(nvs: &mut Nvs<MemFlash>, namespace: &str, name: &str) -> Option<T>
where
    Nvs<MemFlash>: Get<T>,
{
    nvs.get(&key(namespace), &key(name)).ok()
}

/// Merges, and has the agent read what came of it.
#[track_caller]
pub(super) fn merged(partition: &[u8], given: &Given) -> (Vec<u8>, Settings) {
    let merged = merge(partition, given).unwrap();
    assert_eq!(merged.len(), partition.len());
    let read = settings(&merged).unwrap();
    assert_eq!(merge(&merged, given).unwrap(), merged, "once more changes nothing");
    (merged, read)
}

#[track_caller]
pub(super) fn refusal(partition: &[u8], given: &Given) -> NvsError {
    merge(partition, given).expect_err("it is refused")
}

/// The bytes of every value in use, with its entries.
pub(super) fn live_bytes(partition: &[u8]) -> Vec<Vec<u8>> {
    let used = pages(partition).filter(|page| page.sequence.is_some());
    used.flat_map(|page: Page<'_>| {
        let live = page.is_live();
        let entries = partition[page.offset + 64..page.offset + PAGE].chunks(32);
        let mut values: Vec<Vec<u8>> = vec![];
        let mut left = 0;
        for (entry, _) in entries.zip(live).filter(|(_, is_live)| *is_live) {
            if left == 0 {
                values.push(vec![]);
                left = entry[2];
            }
            values.last_mut().unwrap().extend(entry);
            left -= 1;
        }
        values
    })
    .collect()
}

/// An entry with its checksum.
pub(super) fn entry(namespace: u8, kind: u8, span: u8, name: &str, head: [u8; 8]) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..4].copy_from_slice(&[namespace, kind, span, 0xff]);
    entry[8..8 + name.len()].copy_from_slice(name.as_bytes());
    entry[24..].copy_from_slice(&head);
    let crc = software_crc32(software_crc32(u32::MAX, &entry[..4]), &entry[8..]);
    entry[4..8].copy_from_slice(&crc.to_le_bytes());
    entry
}

/// What is behind the name of a text or a blob: its length and checksum.
pub(super) fn sized(data: &[u8]) -> [u8; 8] {
    let [l0, l1, ..] = u32::try_from(data.len()).unwrap().to_le_bytes();
    let [c0, c1, c2, c3] = software_crc32(u32::MAX, data).to_le_bytes();
    [l0, l1, 0xff, 0xff, c0, c1, c2, c3]
}

/// A page with these entries in use.
pub(super) fn page(sequence: u32, entries: &[[u8; 32]]) -> Vec<u8> {
    let mut page = vec![0xff; PAGE];
    page[..4].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
    page[4..8].copy_from_slice(&sequence.to_le_bytes());
    page[8] = 0xfe;
    let crc = software_crc32(u32::MAX, &page[4..28]);
    page[28..32].copy_from_slice(&crc.to_le_bytes());
    for (index, entry) in entries.iter().enumerate() {
        page[32 + index / 4] &= !(1 << (index % 4 * 2));
        page[64 + index * 32..96 + index * 32].copy_from_slice(entry);
    }
    page
}
