//! The loader, asked frame by frame. espflash and esptool ask it elsewhere.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use md5::{Digest, Md5};
use proptest::prelude::*;

use super::{Event, RomLoader, Settings, operation, slip};
use crate::chip::Chip;
use crate::hex;
use crate::virtual_device::flash::{Cut, Moment, VirtualFlash};

const SIZE: usize = 64 * 1024;

/// A chip with counted bytes in its flash.
fn loader(settings: Settings) -> RomLoader {
    let bytes = (0..SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect();
    RomLoader::new(Chip::Esp32c3, VirtualFlash::with_contents(bytes), settings)
}

fn frame(operation: u8, checksum: u8, words: &[u32], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(words.len() * 4 + data.len()).unwrap();
    let mut frame = vec![0, operation];
    frame.extend(length.to_le_bytes());
    frame.extend([checksum, 0, 0, 0]);
    words.iter().for_each(|word| frame.extend(word.to_le_bytes()));
    frame.extend(data);
    frame
}

/// Sends a frame; gives the frames that come back, and the event.
fn send(loader: &mut RomLoader, frame: &[u8]) -> (Vec<Vec<u8>>, Option<Event>) {
    let (mut line, mut out) = (Vec::new(), Vec::new());
    slip::encode(frame, &mut line);
    let event = loader.receive(&line, &mut out);
    let mut decoder = slip::Decoder::default();
    (out.iter().filter_map(|byte| decoder.push(*byte)).collect(), event)
}

/// Asks; gives value, data and status of the one answer.
fn ask(loader: &mut RomLoader, operation: u8, words: &[u32]) -> (u32, Vec<u8>, [u8; 2]) {
    answer(loader, &frame(operation, 0, words, &[]))
}

fn answer(loader: &mut RomLoader, request: &[u8]) -> (u32, Vec<u8>, [u8; 2]) {
    let is_stub = loader.mode == super::Mode::Stub;
    let (answers, _) = send(loader, request);
    let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
    assert_eq!((answer[0], answer[1]), (1, request[1]));
    assert_eq!(usize::from(u16::from_le_bytes([answer[2], answer[3]])), answer.len() - 8);
    let value = u32::from_le_bytes(answer[4..8].try_into().unwrap());
    let end = answer.len() - if is_stub { 2 } else { 4 };
    (value, answer[8..end].to_vec(), [answer[end], answer[end + 1]])
}

fn block(loader: &mut RomLoader, operation: u8, sequence: u32, data: &[u8]) -> [u8; 2] {
    let checksum = data.iter().fold(0xef, |sum, byte| sum ^ byte);
    let length = u32::try_from(data.len()).unwrap();
    answer(loader, &frame(operation, checksum, &[length, sequence, 0, 0], data)).2
}

fn start_stub(loader: &mut RomLoader) {
    assert_eq!(ask(loader, operation::MEM_BEGIN, &[4, 1, 4, 0x4037_c000]).2, [0, 0]);
    assert_eq!(block(loader, operation::MEM_DATA, 0, &[1, 2, 3, 4]), [0, 0]);
    let (answers, _) = send(loader, &frame(operation::MEM_END, 0, &[0, 0x4037_c000], &[]));
    assert_eq!(answers[1], b"OHAI");
}

#[test]
fn a_sync_is_answered_eight_times_and_tells_rom_from_stub() {
    let mut chip = loader(Settings::default());
    let sync = frame(operation::SYNC, 0, &[], &[7, 7, 0x12, 0x20]);
    let values = |chip: &mut RomLoader| -> Vec<bool> {
        let (answers, _) = send(chip, &sync);
        answers.iter().map(|it| it[4..8] == [0; 4]).collect()
    };
    assert_eq!(values(&mut chip), [false; 8]);
    start_stub(&mut chip);
    assert_eq!(values(&mut chip), [true; 8]);
}

#[test]
fn the_flash_is_read_by_the_rom_at_most_64_bytes_at_a_time() {
    let mut chip = loader(Settings::default());
    let (_, data, status) = ask(&mut chip, operation::READ_FLASH_SLOW, &[3, 5]);
    assert_eq!((&data[..5], data.len(), status), (&[3, 4, 5, 6, 7][..], 64, [0, 0]));
    assert_eq!(ask(&mut chip, operation::READ_FLASH_SLOW, &[0, 65]).2, [1, 0x0a]);
    let size = u32::try_from(SIZE).unwrap();
    assert_eq!(ask(&mut chip, operation::READ_FLASH_SLOW, &[size - 1, 2]).2, [1, 0x09]);
    assert_eq!(ask(&mut chip, operation::READ_FLASH_SLOW, &[u32::MAX, 2]).2, [1, 0x09]);
}

#[test]
fn a_digest_is_text_from_the_rom_and_bytes_from_a_stub() {
    let mut chip = loader(Settings::default());
    let expected = Md5::digest(&chip.flash().contents()[100..1100]);
    let text = ask(&mut chip, operation::FLASH_MD5, &[100, 1000, 0, 0]).1;
    assert_eq!(text, hex::lower(&expected).into_bytes());
    start_stub(&mut chip);
    assert_eq!(ask(&mut chip, operation::FLASH_MD5, &[100, 1000, 0, 0]).1, expected.to_vec());
}

#[test]
fn a_stub_sends_packets_as_they_are_acknowledged_and_a_digest_at_the_end() {
    let mut chip = loader(Settings::default());
    assert_eq!(ask(&mut chip, operation::READ_FLASH, &[0, 10, 4, 2]).2, [1, 0x05], "no stub runs");
    start_stub(&mut chip);
    let (first, _) = send(&mut chip, &frame(operation::READ_FLASH, 0, &[1, 10, 4, 2], &[]));
    assert_eq!(first[1..], [vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
    assert_eq!(send(&mut chip, &4u32.to_le_bytes()).0, [vec![9, 10]]);
    assert_eq!(send(&mut chip, &8u32.to_le_bytes()).0.len(), 0);
    let bytes: Vec<u8> = (1..=10).collect();
    assert_eq!(send(&mut chip, &10u32.to_le_bytes()).0, [Md5::digest(bytes).to_vec()]);
    // It listens to commands again.
    assert_eq!(ask(&mut chip, operation::FLASH_MD5, &[0, 4, 0, 0]).2, [0, 0]);
    for bad in [[0, 10, 0, 1], [0, 10, 4, 0], [u32::MAX, 10, 4, 1], [0, u32::MAX, 4, 1]] {
        assert_eq!(ask(&mut chip, operation::READ_FLASH, &bad).2, [1, 0x09], "{bad:?}");
    }
}

#[test]
fn a_download_stays_in_what_it_announced() {
    let mut chip = loader(Settings::default());
    start_stub(&mut chip);
    let before = chip.flash().contents().to_vec();
    assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[5, 1, 16, 0x1000, 0]).2, [0, 0]);
    assert_eq!(block(&mut chip, operation::FLASH_DATA, 0, &[0; 16]), [0, 0]);
    let after = chip.flash().contents();
    assert_eq!(after[0x1000..0x1008], [0; 8], "five bytes, filled up to words");
    assert!(after[0x1008..0x2000].iter().all(|byte| *byte == 0xff), "the rest of the sector");
    assert_eq!((&after[..0x1000], &after[0x2000..]), (&before[..0x1000], &before[0x2000..]));
    let beyond = u32::try_from(SIZE).unwrap();
    assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[4, 1, 16, beyond, 0]).2, [1, 0x06]);
    assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[u32::MAX, 1, 16, 4, 0]).2, [1, 0x06]);
}

#[test]
fn a_download_erases_at_its_begin_all_in_the_rom_and_one_sector_in_a_stub() {
    for (is_stub, sectors) in [(false, 3), (true, 1)] {
        let mut chip = loader(Settings::default());
        if is_stub {
            start_stub(&mut chip);
        }
        let before = chip.flash().contents().to_vec();
        assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[0, 1, 16, 0x1000, 0]).2, [0, 0]);
        assert_eq!(chip.flash().contents(), before, "nothing is to come");
        assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[0x3000, 1, 16, 0x1000, 0]).2, [0, 0]);
        let after = chip.flash().contents();
        let end = 0x1000 + sectors * 0x1000;
        assert!(after[0x1000..end].iter().all(|byte| *byte == 0xff), "{is_stub}");
        assert_eq!((&after[..0x1000], &after[end..]), (&before[..0x1000], &before[end..]));
    }
}

#[test]
fn blocks_come_in_their_order_and_as_they_were_sent() {
    let mut chip = loader(Settings::default());
    assert_eq!(block(&mut chip, operation::FLASH_DATA, 0, &[0; 4]), [1, 0x05], "none began");
    assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[0x1000, 2, 4, 0, 0]).2, [0, 0]);
    assert_eq!(block(&mut chip, operation::FLASH_DATA, 1, &[0; 4]), [1, 0x05]);
    assert_eq!(block(&mut chip, operation::FLASH_DATA, 0, &[0; 8]), [1, 0x05]);
    let wrong = frame(operation::FLASH_DATA, 0, &[4, 0, 0, 0], &[1, 2, 3, 4]);
    assert_eq!(answer(&mut chip, &wrong).2, [1, 0x07]);
    assert_eq!(block(&mut chip, operation::FLASH_DATA, 0, &[1, 2, 3, 4]), [0, 0]);
    assert_eq!(block(&mut chip, operation::FLASH_DATA, 1, &[5, 6, 7, 8]), [0, 0]);
    assert_eq!(
        block(&mut chip, operation::FLASH_DATA, 2, &[9; 4]),
        [1, 0x05],
        "two were announced"
    );
    assert_eq!(chip.flash().contents()[..9], [1, 2, 3, 4, 5, 6, 7, 8, 0xff]);
}

#[test]
fn what_does_not_unpack_and_what_is_without_power_is_refused() {
    let mut chip = loader(Settings::default());
    start_stub(&mut chip);
    assert_eq!(ask(&mut chip, operation::DEFLATE_BEGIN, &[16, 1, 64, 0, 0]).2, [0, 0]);
    assert_eq!(block(&mut chip, operation::DEFLATE_DATA, 0, &[0xff; 8]), [1, 0x0b]);
    let operation = chip.flash().operations();
    chip.flash_mut().cut_at(Cut { operation, moment: Moment::Before, seed: 0 });
    assert_eq!(ask(&mut chip, operation::ERASE_REGION, &[0, 0x1000]).2, [1, 0x08]);
    chip.flash_mut().power_on();
    assert_eq!(ask(&mut chip, operation::ERASE_REGION, &[1, 0x1000]).2, [1, 0x08], "not aligned");
}

#[test]
fn secure_download_leaves_writing_alone() {
    let mut chip = loader(Settings { secure_download: true, ..Settings::default() });
    let info = ask(&mut chip, operation::SECURITY_INFO, &[]).1;
    assert_eq!(info[..4], 4u32.to_le_bytes());
    for (operation, words) in [
        (operation::READ_FLASH_SLOW, &[0, 4][..]),
        (operation::FLASH_MD5, &[0, 4, 0, 0]),
        (operation::READ_REGISTER, &[0x4000_1000]),
        (operation::MEM_BEGIN, &[4, 1, 4, 0]),
    ] {
        assert_eq!(ask(&mut chip, operation, words).2, [1, 0x05], "{operation:#x}");
    }
    assert_eq!(ask(&mut chip, operation::FLASH_BEGIN, &[0x1000, 1, 4, 0, 0]).2, [0, 0]);
}

#[test]
fn an_end_that_reboots_leaves_the_stub() {
    let mut chip = loader(Settings::default());
    start_stub(&mut chip);
    let (_, event) = send(&mut chip, &frame(operation::FLASH_END, 0, &[1], &[]));
    assert_eq!(event, None);
    let (_, event) = send(&mut chip, &frame(operation::FLASH_END, 0, &[0], &[]));
    assert_eq!(event, Some(Event::Reset));
    assert_eq!(ask(&mut chip, operation::RUN_USER_CODE, &[]).2, [1, 0x05], "only a stub knows it");
}

#[test]
fn memory_that_is_written_has_its_limit() {
    let mut chip = loader(Settings::default());
    let write = |chip: &mut RomLoader, address: u32| {
        ask(chip, operation::WRITE_REGISTER, &[address, 7, u32::MAX, 0]).2
    };
    let taken = (0..5000u32).filter(|at| write(&mut chip, 0x3fc8_0000 + 4 * at) == [0, 0]).count();
    assert!((900..1024).contains(&taken), "{taken}");
    assert_eq!(write(&mut chip, 0x3fc8_0000), [0, 0], "what is there can change");
    assert_eq!(ask(&mut chip, operation::WRITE_REGISTER, &[1]).2, [1, 0x05]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_it_stays_a_chip(
        requests in prop::collection::vec(
            (any::<u8>(), any::<u8>(), prop::collection::vec(prop_oneof![0..9u32, any::<u32>()], 0..6),
             prop::collection::vec(any::<u8>(), 0..40)),
            0..40,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        takes_stub: bool,
    ) {
        let mut chip = loader(Settings { takes_stub, ..Settings::default() });
        let mut out = Vec::new();
        for (operation, checksum, words, data) in requests {
            let known = [operation, operation & 0x1f, 0xd0 | operation & 3];
            for operation in known {
                send(&mut chip, &frame(operation, checksum, &words, &data));
            }
            chip.receive(&noise, &mut out);
        }
        prop_assert_eq!(chip.flash().contents().len(), SIZE);
        send(&mut chip, &[]);
        let sync = frame(operation::SYNC, 0, &[], &[]);
        // The first may end what the noise began.
        send(&mut chip, &sync);
        prop_assert_eq!(send(&mut chip, &sync).0.len(), 8);
    }
}
