//! One image on its way from the server into its slot, across broken connections and power cuts.

use alloc::boxed::Box;
use alloc::string::String;

use embedded_storage::nor_flash::NorFlash;

use super::install::{InstallError, Wanted};
use super::layout::Region;
use super::ports::{Store, Transport, TransportError};
use super::resume::{self, Resume};
use super::slot_writer::{Sector, SlotWriter};

/// How often one install picks a broken download up again before it gives up until the next poll.
const MOST_RESUMES: u32 = 5;

/// Where the store remembers how far this download got.
///
/// What cannot be remembered costs time after the next power cut, and nothing else: errors of the
/// store are left to those for whom it matters.
pub(super) struct Bookmark<'a, S> {
    pub(super) store: &'a mut S,
    pub(super) sha256: [u8; 32],
    pub(super) slot: u32,
}

impl<S: Store> Bookmark<'_, S> {
    fn find(&mut self, len: u32) -> Option<Resume> {
        let found = resume::find(self.store, &self.sha256, self.slot).ok().flatten();
        found.filter(|found| found.bytes <= len)
    }

    fn save(&mut self, bytes: u32, etag: Option<String>) {
        let Self { sha256, slot, .. } = *self;
        let _ = resume::save(self.store, &Resume { sha256, slot, bytes, etag });
    }

    pub(super) fn forget(&mut self) {
        let _ = resume::forget(self.store);
    }
}

/// A download into one slot.
pub(super) struct Download<'a, S> {
    pub(super) bookmark: Bookmark<'a, S>,
    writer: SlotWriter,
    etag: Option<String>,
}

impl<'a, S: Store> Download<'a, S> {
    /// Begins, or goes on where the last attempt was when its power went away.
    pub(super) fn begin<F: NorFlash>(
        flash: &mut F,
        mut bookmark: Bookmark<'a, S>,
        region: Region,
        len: u32,
    ) -> Result<Self, InstallError> {
        let (writer, etag) = match bookmark.find(len) {
            Some(found) => (SlotWriter::behind(flash, region, found.bytes)?, found.etag),
            None => (SlotWriter::new(region), None),
        };
        Ok(Self { bookmark, writer, etag })
    }

    /// Downloads to the end, picking up where a broken connection left off.
    pub(super) async fn run<F: NorFlash, T: Transport>(
        &mut self,
        flash: &mut F,
        wanted: &Wanted<'_>,
        transport: &mut T,
        progress: &mut impl FnMut(u32),
    ) -> Result<(), InstallError> {
        let mut resumes = 0u32;
        while let Err(error) = self.stream(flash, wanted, transport, progress).await {
            let broke = matches!(
                error,
                InstallError::Transport(TransportError::Unreachable | TransportError::Truncated)
            );
            if !broke || resumes == MOST_RESUMES || self.writer.received == 0 {
                return Err(error);
            }
            resumes = resumes.saturating_add(1);
        }
        self.writer.flush(flash)?;
        if self.writer.digest() == wanted.sha256 { Ok(()) } else { Err(InstallError::Digest) }
    }

    /// Takes in one answer of the server.
    async fn stream<F: NorFlash, T: Transport>(
        &mut self,
        flash: &mut F,
        wanted: &Wanted<'_>,
        transport: &mut T,
        progress: &mut impl FnMut(u32),
    ) -> Result<(), InstallError> {
        let from = self.writer.received;
        if from == wanted.len {
            // All of it arrived before the connection, or the power, went away.
            return Ok(());
        }
        let response = transport.get(wanted.path, from, self.etag.as_deref()).await?;
        match response.status {
            // The file changed or the server cannot resume: start again.
            200 if from > 0 => {
                self.bookmark.forget();
                self.writer = SlotWriter::new(self.writer.region);
            }
            206 if response.start != from => return Err(InstallError::Range),
            200 | 206 => {}
            other => return Err(InstallError::Status(other)),
        }
        let expected = wanted.len.checked_sub(self.writer.received).ok_or(InstallError::Length)?;
        if response.length.is_some_and(|length| length != expected) {
            return Err(InstallError::Length);
        }
        // A weak one does not stand for bytes: RFC 9110, section 13.1.5, keeps it out of If-Range.
        self.etag = response.etag.filter(|etag| !etag.starts_with("W/"));

        let mut saved = self.writer.written;
        let mut buf = Box::new(Sector([0; 4096]));
        loop {
            let count = transport.read(&mut buf.0).await?;
            let Some(bytes) = buf.0.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            let len = u32::try_from(count).map_err(|_| InstallError::Endless)?;
            let received = self.writer.received.checked_add(len).ok_or(InstallError::Endless)?;
            if received > wanted.len {
                return Err(InstallError::Endless);
            }
            self.writer.push(flash, bytes)?;
            // At most one sector is written for each piece, so no step is jumped over.
            let written = self.writer.written;
            if written > saved && written.is_multiple_of(resume::STEP) {
                self.bookmark.save(written, self.etag.clone());
                saved = written;
            }
            progress(received);
        }
        if self.writer.received == wanted.len { Ok(()) } else { Err(InstallError::Short) }
    }
}
