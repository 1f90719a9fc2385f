//! Merges settings into a file with an NVS partition, as `flash` does on a device: the half of
//! `nvs.py` that is ours.
//!
//! Arguments: the partition as it was read, the one to write, and settings as `KEY=VALUE`. Exits as
//! `flash` does where it is refused.

use std::process::ExitCode;

use cargo_esp_ota::device::nvs::{self, Given};
use cargo_esp_ota::error::Explained as _;

#[expect(clippy::panic, reason = "a check that is asked wrongly has failed")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [before, after, settings @ ..] = &arguments[..] else { panic!("two files, and settings") };
    let before = std::fs::read(before).expect("a partition");
    match nvs::merge(&before, &given(settings)) {
        Ok(merged) => {
            std::fs::write(after, merged).expect("a folder to write to");
            ExitCode::SUCCESS
        }
        Err(error) => {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "{error}").expect("somebody reads");
            ExitCode::from(error.exit().code())
        }
    }
}

#[expect(clippy::panic, reason = "a check that is asked wrongly has failed")]
fn given(settings: &[String]) -> Given {
    let mut given = Given::default();
    let mut network = None;
    let mut passphrase = None;
    for setting in settings {
        match setting.split_once('=').expect("a setting") {
            ("wifi_ssid", ssid) => network = Some(ssid.to_owned()),
            ("wifi_psk", psk) => passphrase = Some(psk.to_owned()),
            ("url", url) => given.url(url).expect("a URL"),
            ("channel", name) => given.channel(name).expect("a channel"),
            ("poll_s", seconds) => {
                given.poll_seconds(seconds.parse().expect("a number")).expect("a number of seconds")
            }
            (other, _) => panic!("`{other}` is no setting"),
        }
    }
    if let Some(ssid) = network {
        given.wifi(ssid, passphrase).expect("a network");
    }
    given
}
