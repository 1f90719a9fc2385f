//! Servers in memory: one with releases, which can do wrong, and one that collects reports.

use std::cell::RefCell;

use super::bench::Repository;
use crate::agent::ports::{ReportSink, Response, Transport, TransportError};

/// What a server in memory does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Each connection ends after so many bytes of a target.
    pub(super) drops_after: Option<usize>,
    /// Ranges are ignored: the whole file comes, with status 200.
    pub(super) ignores_ranges: bool,
    /// A resumed download starts so many bytes too late.
    pub(super) resumes_late_by: u32,
    /// Bytes that are announced and sent beyond the file.
    pub(super) appends: usize,
    /// Bytes missing at the end, and not announced.
    pub(super) truncates: usize,
    /// Targets are answered with this status.
    pub(super) status: Option<u16>,
    /// The ETag is a weak one.
    pub(super) is_weak: bool,
    /// Nobody answers, for this reason.
    pub(super) down: Option<TransportError>,
    /// The server does not say how long a target is.
    pub(super) unannounced: bool,
    /// How a connection ends that drops; unreachable where nothing is said.
    pub(super) drops_as: Option<TransportError>,
}

/// A server in memory.
pub(super) struct Memory<'a> {
    repository: &'a Repository,
    faults: Faults,
    body: Vec<u8>,
    at: usize,
    left: usize,
    /// Offsets at which targets were asked for.
    pub(super) asked: Vec<u32>,
}

impl<'a> Memory<'a> {
    pub(super) fn new(repository: &'a Repository, faults: Faults) -> Self {
        Self { repository, faults, body: Vec::new(), at: 0, left: 0, asked: Vec::new() }
    }
}

impl Transport for Memory<'_> {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        let faults = self.faults;
        if let Some(error) = faults.down {
            return Err(error);
        }
        let Some(file) = self.repository.files.get(path) else {
            return Ok(Response { status: 404, ..Response::default() });
        };
        let is_target = path.starts_with("targets/");
        self.body.clone_from(file);
        self.left = usize::MAX;
        let mut start = from;
        if is_target {
            if let Some(status) = faults.status {
                return Ok(Response { status, ..Response::default() });
            }
            self.asked.push(from);
            self.left = faults.drops_after.unwrap_or(usize::MAX);
            self.body.extend(vec![0; faults.appends]);
            self.body.truncate(self.body.len() - faults.truncates);
            if faults.ignores_ranges {
                start = 0;
            } else if from > 0 {
                let strong = (!faults.is_weak).then_some("\"tag\"");
                assert_eq!(if_range, strong, "a resumed download names what it resumes");
                start += faults.resumes_late_by;
            }
        }
        self.at = usize::try_from(start).unwrap();
        Ok(Response {
            status: if start == 0 { 200 } else { 206 },
            length: (!is_target || !faults.unannounced)
                .then(|| u32::try_from(self.body.len() - self.at).unwrap()),
            start,
            date: None,
            etag: Some(if faults.is_weak { "W/\"tag\"" } else { "\"tag\"" }.into()),
        })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let rest = &self.body[self.at..];
        let count = rest.len().min(buf.len()).min(self.left);
        if count == 0 && !rest.is_empty() {
            return Err(self.faults.drops_as.unwrap_or(TransportError::Unreachable));
        }
        buf[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        self.left -= count;
        Ok(count)
    }
}

/// A server that collects reports.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) answer: Result<u16, TransportError>,
    pub(super) heard: Vec<String>,
}

impl ReportSink for &RefCell<Collector> {
    async fn post(&mut self, body: &[u8]) -> Result<u16, TransportError> {
        let mut collector = self.borrow_mut();
        collector.heard.push(String::from_utf8(body.to_vec()).unwrap());
        collector.answer
    }
}
