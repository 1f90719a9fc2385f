//! A pseudo-terminal with a board at its end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::VirtualDeviceError;
use crate::commands::ContextError;
use crate::commands::stop::Stop;
use crate::error::Failure;
use crate::virtual_device::rom_loader::RomLoader;

/// How long a host is silent before what it changed is written to the file.
const IDLE: Duration = Duration::from_millis(50);

/// The board's end.
#[derive(Debug)]
pub(super) struct Line {
    board: File,
    name: PathBuf,
    /// Kept open: otherwise the line breaks each time a host goes away.
    host: Option<OwnedFd>,
}

/// When to end.
#[derive(Debug)]
pub(super) struct Service {
    /// Once a host has sent this many bytes.
    pub(super) unplug_after: Option<u64>,
    /// Once a host was there and went away.
    pub(super) is_once: bool,
    /// Once somebody presses Ctrl-C.
    pub(super) stop: Stop,
}

/// What went over the line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Times that the line turned round: a host asked, the board answered.
    pub(super) requests: u64,
}

impl Line {
    pub(super) fn open() -> Result<Self, VirtualDeviceError> {
        Self::try_open().map_err(VirtualDeviceError::Open)
    }

    fn try_open() -> io::Result<Self> {
        let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&board)?;
        unlockpt(&board)?;
        let name = ptsname(&board, Vec::new())?;
        let name = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
        let host = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        // No echo, no line ends: bytes as they are.
        let mut settings = tcgetattr(&host)?;
        settings.make_raw();
        tcsetattr(&host, OptionalActions::Now, &settings)?;
        Ok(Self { board: board.into(), name, host: Some(host) })
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Lets a board answer until the service ends. `save` gets the flash whenever it was changed
    /// and the host is silent.
    pub(super) fn serve(
        &mut self,
        board: &mut RomLoader,
        service: &Service,
        save: impl Fn(&[u8]) -> Result<(), ContextError>,
    ) -> Result<Traffic, Failure> {
        let mut traffic = Traffic::default();
        let mut saved = board.flash().operations();
        let mut bytes = [0; 4096];
        while !service.stop.is_pressed() {
            if self.is_silent().map_err(VirtualDeviceError::Line)? {
                let operations = board.flash().operations();
                if operations != saved {
                    save(board.flash().contents())?;
                    saved = operations;
                }
                continue;
            }
            let count = match self.board.read(&mut bytes) {
                // All hosts are gone, and our own hold on the line was given up.
                Ok(0) | Err(_) if self.host.is_none() => break,
                read => read.map_err(VirtualDeviceError::Line)?,
            };
            if service.is_once {
                self.host = None;
            }
            let received = traffic.received.saturating_add(u64::try_from(count).unwrap_or(0));
            let limit = service.unplug_after.unwrap_or(u64::MAX);
            let taken = limit.saturating_sub(traffic.received).min(received);
            let taken = usize::try_from(taken).unwrap_or(usize::MAX).min(count);
            let mut answer = Vec::new();
            board.receive(bytes.get(..taken).unwrap_or_default(), &mut answer);
            traffic.received = received.min(limit);
            if received >= limit {
                break;
            }
            if !answer.is_empty() {
                traffic.requests = traffic.requests.saturating_add(1);
                traffic.sent =
                    traffic.sent.saturating_add(u64::try_from(answer.len()).unwrap_or(0));
                self.board.write_all(&answer).map_err(VirtualDeviceError::Line)?;
            }
        }
        if board.flash().operations() != saved {
            save(board.flash().contents())?;
        }
        Ok(traffic)
    }

    fn is_silent(&self) -> io::Result<bool> {
        let mut wanted = [PollFd::new(&self.board, PollFlags::IN)];
        let wait = Timespec::try_from(IDLE).map_err(io::Error::other)?;
        match poll(&mut wanted, Some(&wait)) {
            Err(rustix::io::Errno::INTR) => Ok(true),
            ready => Ok(ready? == 0),
        }
    }
}
