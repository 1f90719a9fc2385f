//! What has to hold for every file that is inspected.

use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::error::Explained;
use cargo_esp_ota::image;
use cargo_esp_ota::image::inspect::{Expected, Inspection, Kind, Slot, app_image, inspect};

use crate::image::heal;
use crate::memory_of;

/// Characters of a sentence.
const LONGEST_TEXT: usize = 1000;
/// Memory that looking at a file may take, apart from its length.
const MEMORY_FIXED: usize = 4 * 1024 * 1024;
/// And for each of its bytes: JSON is parsed, and a number in it takes 32 bytes.
const MEMORY_PER_BYTE: usize = 64;

/// Inspects the bytes with nothing expected of them, and with a chip and slots. Where the first is
/// even, checksum and digest are made right before, so that the rest of an image is looked at.
pub fn judge(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut file = bytes.to_vec();
    if mode % 2 == 0 {
        let _ = heal(&mut file);
    }
    let slots = vec![Slot { name: "ota_0".to_owned(), size: 1024 }];
    for expected in [Expected::default(), Expected { chip: Some(Chip::Esp32c3), slots }] {
        let (found, used) = memory_of(|| inspect(&file, &expected));
        let most = MEMORY_FIXED + MEMORY_PER_BYTE * file.len();
        assert!(used <= most, "{used} bytes of memory for a file of {}", file.len());
        agrees(&found, &file, &expected);
        speaks(&found);
    }
}

/// What is called good is good on the device, all of it, and nothing else is called good.
fn agrees(found: &Inspection, file: &[u8], expected: &Expected) {
    assert_eq!(found.is_publishable(), found.problems.is_empty());
    let taken = app_image(file, expected);
    assert_eq!(taken.is_ok(), found.is_publishable());
    if let Ok(info) = taken {
        assert_eq!(found.kind, Kind::App);
        assert_eq!(info.len as usize, file.len());
        assert_eq!(image::read(file, expected.chip), Ok(info.clone()));
        assert!(expected.slots.iter().all(|slot| slot.size >= info.len));
        let image = found.image.as_ref().expect("an app image");
        assert_eq!(image.length, Some(info.len.into()));
        assert_eq!(image.segments.len(), usize::from(info.segments));
        assert!(image.checksum.as_ref().is_some_and(|check| check.valid));
        assert!(image.digest.as_ref().is_some_and(|check| check.valid));
    }
    if let Some(image) = &found.image
        && let (Some(checksum), Some(digest)) = (&image.checksum, &image.digest)
    {
        let is_sound = checksum.valid && digest.valid;
        assert_eq!(is_sound, image::read(file, None).is_ok(), "two readers, two answers");
    }
}

/// Sentences are short, and have nothing that a terminal would obey.
fn speaks(found: &Inspection) {
    let problems = found.problems.iter().flat_map(|it| [it.to_string(), it.help().unwrap()]);
    let notes = found.notes.iter().map(|note| note.message.clone());
    let image = found.image.iter().flat_map(|image| &image.descriptor);
    let elf = found.elf.iter().flat_map(|elf| &elf.descriptor);
    let stated = image.chain(elf).flat_map(|app| {
        [&app.project, &app.version, &app.built, &app.idf_version].map(String::clone)
    });
    let texts = found.evidence.iter().cloned().chain(problems).chain(notes).chain(stated);
    for text in texts {
        assert!(text.chars().count() <= LONGEST_TEXT && !text.contains(char::is_control), "{text:?}");
    }
    if let Some(flash) = &found.flash {
        assert!(flash.apps.len() <= 95 && flash.apps.len() <= flash.rows);
    }
}
