//! Any bytes as an app image in flash.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cargo_esp_ota_fuzz::image::judge(bytes));
