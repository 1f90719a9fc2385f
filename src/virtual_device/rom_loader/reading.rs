//! A stub's way to send much of the flash: packets, of which a few are under way at a time, and the
//! MD5 of all at the end.

use md5::{Digest, Md5};

use super::Refused;
use super::request::Request;
use super::slip;

/// Bytes of the largest packet.
const LARGEST_PACKET: usize = 16 * 1024;

/// Flash that is being sent.
#[derive(Debug)]
pub(super) struct Reading {
    start: usize,
    length: usize,
    packet: usize,
    /// Packets that may be sent without an answer.
    window: usize,
    sent: usize,
    is_signed: bool,
}

impl Reading {
    /// Reads the arguments; `flash` is the number of bytes that there are.
    pub(super) fn new(request: &Request<'_>, flash: usize) -> Result<Self, Refused> {
        let word = |index| {
            let word = request.word(index).ok_or(Refused::Message)?;
            usize::try_from(word).map_err(|_| Refused::Message)
        };
        let (start, length, packet, window) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let fits = start.checked_add(length).is_some_and(|end| end <= flash);
        if !fits || !(1..=LARGEST_PACKET).contains(&packet) || window == 0 {
            return Err(Refused::Read);
        }
        Ok(Self { start, length, packet, window, sent: 0, is_signed: false })
    }

    /// How many bytes a host says it has.
    pub(super) fn acknowledged(frame: &[u8]) -> Option<usize> {
        let bytes: [u8; 4] = frame.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    /// Sends what fits the window of a host that has `taken` bytes.
    pub(super) fn go_on(&mut self, taken: usize, flash: &[u8], out: &mut Vec<u8>) {
        let rest = flash.get(self.start..).and_then(|rest| rest.get(..self.length));
        let bytes = rest.unwrap_or_default();
        let window = self.window.saturating_mul(self.packet);
        while self.sent < self.length && self.sent.saturating_sub(taken) < window {
            let end = self.sent.saturating_add(self.packet).min(self.length);
            slip::encode(bytes.get(self.sent..end).unwrap_or_default(), out);
            self.sent = end;
        }
        if taken >= self.length && !self.is_signed {
            slip::encode(&Md5::digest(bytes), out);
            self.is_signed = true;
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_signed
    }
}
