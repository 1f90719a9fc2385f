//! A virtual board whose answers can be replaced, and that keeps what it was asked.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::virtual_device::flash::VirtualFlash;
use cargo_esp_ota::virtual_device::rom_loader::{RomLoader, Settings};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// A command: its number, and its first word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) operation: u8,
    pub(crate) word: u32,
}

/// A running board, an ESP32-C3.
pub(crate) struct CrookedBoard {
    pub(crate) port: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _kept: OwnedFd,
}

impl CrookedBoard {
    /// `lie` gets everything that was asked, and gives what is answered to the last of it where that
    /// is not the truth.
    pub(crate) fn start(
        flash: Vec<u8>,
        lie: impl Fn(&[Asked]) -> Option<&'static [u8]> + Send + 'static,
    ) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let port = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let kept = rustix::fs::open(port.as_str(), flags, Mode::empty()).unwrap();
        let mut settings = tcgetattr(&kept).unwrap();
        settings.make_raw();
        tcsetattr(&kept, OptionalActions::Now, &settings).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        std::thread::spawn(move || {
            let flash = VirtualFlash::with_contents(flash);
            let mut board = RomLoader::new(Chip::Esp32c3, flash, Settings::default());
            let mut line = File::from(master);
            let (mut bytes, mut request) = ([0; 4096], Vec::new());
            while let Ok(count) = line.read(&mut bytes) {
                let mut answer = Vec::new();
                request.extend_from_slice(&bytes[..count]);
                board.receive(&bytes[..count], &mut answer);
                if answer.is_empty() {
                    continue;
                }
                let mut asked = told.lock().unwrap();
                // Acknowledgements of what is read are shorter.
                let is_command = request.len() >= 10 && request[..2] == [0xc0, 0];
                if is_command {
                    let word = request
                        .get(9..13)
                        .map_or(0, |word| u32::from_le_bytes(word.try_into().unwrap()));
                    asked.push(Asked { operation: request[2], word });
                }
                request.clear();
                let lie = if is_command { lie(&asked) } else { None };
                if line.write_all(lie.unwrap_or(&answer)).is_err() {
                    break;
                }
            }
        });
        Self { port, asked, _kept: kept }
    }

    /// The numbers of the commands so far.
    pub(crate) fn operations(&self) -> Vec<u8> {
        self.asked.lock().unwrap().iter().map(|asked| asked.operation).collect()
    }
}
