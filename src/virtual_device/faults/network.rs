//! A server in memory, and all that it or somebody on the way to it can do wrong.
//!
//! Real TLS is rehearsed elsewhere; here the bytes matter that come out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::case::SeedError;
use crate::agent::ports::{ReportSink, Response, Transport, TransportError};
use crate::release::plan::LIVE_TIMESTAMP;

/// The files of a repository by their path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Bytes that a server sends behind the end of a file it never wants to end.
const ENDLESS: usize = 0x2_0000;

/// A file of the repository, as far as lies about it differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum File {
    /// The next TUF root, which is not there.
    Root,
    /// `timestamp.json`.
    Timestamp,
    /// `N.snapshot.json`.
    Snapshot,
    /// `N.targets.json`.
    Targets,
    /// The image.
    Image,
}

impl File {
    /// All of them, in the order in which a device asks for them.
    pub const ALL: [Self; 5] =
        [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets, Self::Image];

    /// The word in seeds and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Image => "image",
        }
    }

    /// Which one a path names.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            LIVE_TIMESTAMP => Some(Self::Timestamp),
            _ if path.ends_with(".root.json") => Some(Self::Root),
            _ if path.ends_with(".snapshot.json") => Some(Self::Snapshot),
            _ if path.ends_with(".targets.json") => Some(Self::Targets),
            _ if path.starts_with("targets/") => Some(Self::Image),
            _ => None,
        }
    }
}

/// What is wrong with an answer. Numbers are bytes of the file unless they are a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lie {
    /// It ends too early, as if that were its end.
    Truncated(u32),
    /// One bit of this byte is changed.
    Corrupted(u32),
    /// From this byte on nothing comes any more, however often it is asked for.
    Stalled(u32),
    /// The connection breaks after so many bytes each time, and can be resumed.
    Dropped(u32),
    /// A resumed download goes on so many bytes too late.
    Shifted(u32),
    /// This HTTP status instead of the file: a redirect, an error.
    Status(u16),
    /// The file as it was before this release.
    Replayed,
    /// Another file of the repository.
    Swapped,
    /// The file, and bytes without end behind it.
    Endless,
}

impl Lie {
    /// The word in seeds and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated(_) => "truncated",
            Self::Corrupted(_) => "corrupted",
            Self::Stalled(_) => "stalled",
            Self::Dropped(_) => "dropped",
            Self::Shifted(_) => "shifted",
            Self::Status(_) => "status",
            Self::Replayed => "replayed",
            Self::Swapped => "swapped",
            Self::Endless => "endless",
        }
    }
}

/// A lie about one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkFault {
    /// About which.
    pub file: File,
    /// Which lie.
    pub lie: Lie,
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.name(), self.lie.name())?;
        match self.lie {
            Lie::Truncated(at)
            | Lie::Corrupted(at)
            | Lie::Stalled(at)
            | Lie::Dropped(at)
            | Lie::Shifted(at) => write!(f, ":{at}"),
            Lie::Status(status) => write!(f, ":{status}"),
            Lie::Replayed | Lie::Swapped | Lie::Endless => Ok(()),
        }
    }
}

impl FromStr for NetworkFault {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let read = || {
            let (file, rest) = text.split_once(':')?;
            let file = File::ALL.into_iter().find(|it| it.name() == file)?;
            let (word, number) = rest.split_once(':').unwrap_or((rest, ""));
            let at = || number.parse().ok();
            let lie = match word {
                "truncated" => Lie::Truncated(at()?),
                "corrupted" => Lie::Corrupted(at()?),
                "stalled" => Lie::Stalled(at()?),
                "dropped" => Lie::Dropped(at()?),
                "shifted" => Lie::Shifted(at()?),
                "status" => Lie::Status(number.parse().ok()?),
                "replayed" if number.is_empty() => Lie::Replayed,
                "swapped" if number.is_empty() => Lie::Swapped,
                "endless" if number.is_empty() => Lie::Endless,
                _ => return None,
            };
            Some(Self { file, lie })
        };
        read().ok_or_else(|| SeedError(text.to_owned()))
    }
}

/// A server in memory.
#[derive(Debug)]
pub(super) struct Network<'a> {
    /// What it serves; without files nobody answers.
    files: Option<&'a Files>,
    /// What it served before this release.
    older: &'a Files,
    fault: Option<NetworkFault>,
    body: Body<'a>,
}

impl<'a> Network<'a> {
    pub(super) fn new(
        files: Option<&'a Files>,
        older: &'a Files,
        fault: Option<NetworkFault>,
    ) -> Self {
        Self { files, older, fault, body: Body::default() }
    }

    /// The file that is sent in place of another: an older image, or metadata of another role.
    fn other(&self, files: &'a Files, file: File) -> &'a [u8] {
        let wanted = match file {
            File::Image => return self.older_file(File::Image),
            File::Timestamp => File::Snapshot,
            File::Root | File::Snapshot => File::Targets,
            File::Targets => File::Timestamp,
        };
        let found = files.iter().rev().find(|(path, _)| File::of(path) == Some(wanted));
        found.map_or(&[][..], |(_, bytes)| bytes)
    }

    /// The newest file of its kind from before this release.
    fn older_file(&self, file: File) -> &'a [u8] {
        let found = self.older.iter().rev().find(|(path, _)| File::of(path) == Some(file));
        found.map_or(&[][..], |(_, bytes)| bytes)
    }
}

/// The rest of an answer.
#[derive(Debug, Default)]
struct Body<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// A byte with a changed bit.
    flipped: Option<usize>,
    /// Where the connection breaks.
    breaks: Option<usize>,
}

impl Transport for Network<'_> {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        _: Option<&str>,
    ) -> Result<Response, TransportError> {
        let files = self.files.ok_or(TransportError::Unreachable)?;
        let file = File::of(path);
        let lie = self.fault.filter(|fault| Some(fault.file) == file).map(|fault| fault.lie);
        let honest = files.get(path).map(Vec::as_slice);
        let bytes = match (lie, file) {
            (Some(Lie::Status(status)), _) => {
                return Ok(Response { status, ..Response::default() });
            }
            (Some(Lie::Replayed), Some(file)) => Some(self.older_file(file)),
            (Some(Lie::Swapped), Some(file)) => Some(self.other(files, file)),
            _ => honest,
        };
        let Some(bytes) = bytes else {
            return Ok(Response { status: 404, ..Response::default() });
        };
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let mut body = Body { bytes, at: size(from), end: bytes.len(), ..Body::default() };
        let mut start = from;
        match lie {
            Some(Lie::Truncated(at)) => body.end = size(at).min(bytes.len()),
            Some(Lie::Corrupted(at)) => body.flipped = Some(size(at)),
            Some(Lie::Stalled(at)) => body.breaks = Some(size(at)),
            Some(Lie::Dropped(count)) => body.breaks = body.at.checked_add(size(count)),
            Some(Lie::Shifted(_)) if from == 0 => body.breaks = Some(bytes.len() / 2),
            Some(Lie::Shifted(by)) => {
                start = from.saturating_add(by);
                body.at = size(start);
            }
            Some(Lie::Endless) => body.end = bytes.len().saturating_add(ENDLESS),
            Some(Lie::Status(_) | Lie::Replayed | Lie::Swapped) | None => {}
        }
        // Whoever cuts a file or never ends it announces no length.
        let is_announced = !matches!(lie, Some(Lie::Truncated(_) | Lie::Endless));
        let length = u32::try_from(body.end.saturating_sub(body.at)).ok();
        self.body = body;
        Ok(Response {
            status: if from == 0 { 200 } else { 206 },
            length: length.filter(|_| is_announced),
            start,
            date: None,
            etag: Some("\"in-memory\"".into()),
        })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let body = &mut self.body;
        let until = body.breaks.unwrap_or(usize::MAX).min(body.end);
        let count = until.saturating_sub(body.at).min(buf.len());
        if count == 0 && body.at < body.end {
            return Err(TransportError::Unreachable);
        }
        let rest = body.bytes.get(body.at..).unwrap_or_default();
        let rest = rest.get(..count).unwrap_or(rest);
        if let Some((file, beyond)) =
            buf.get_mut(..count).and_then(|buf| buf.split_at_mut_checked(rest.len()))
        {
            file.copy_from_slice(rest);
            beyond.fill(0);
        }
        let flipped = body.flipped.and_then(|at| at.checked_sub(body.at));
        if let Some(byte) = flipped.filter(|at| *at < count).and_then(|at| buf.get_mut(at)) {
            *byte ^= 0x04;
        }
        body.at = body.at.saturating_add(count);
        Ok(count)
    }
}

impl ReportSink for Network<'_> {
    async fn post(&mut self, _: &[u8]) -> Result<u16, TransportError> {
        self.files.map(|_| 204).ok_or(TransportError::Unreachable)
    }
}
