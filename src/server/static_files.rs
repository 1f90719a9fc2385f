//! Answers requests for the files of one folder.
//!
//! A device's HTTP client is small, so the answers are of one kind: `Content-Length` always, a strong
//! entity tag, ranges, no redirect, no listing, few headers. Everything that is not a plain file
//! inside the folder is 404: other folders, dot files, and links that lead out.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::server::access::{Access, Log};
use crate::server::body::Body;
use crate::server::etag::{Comparison, Tags, listed};
use crate::server::range::Range;

/// The folder that is served.
#[derive(Clone, Debug)]
pub(super) struct StaticFiles {
    root: Arc<Path>,
    tags: Arc<Tags>,
    log: Log,
}

/// A file that was found, opened once so that its tag and its bytes belong together.
struct Found {
    file: File,
    length: u64,
    tag: String,
}

/// What a request gets, before it becomes an HTTP response.
struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    part: Option<(u64, u64)>,
    body: Body,
}

impl StaticFiles {
    /// Serves `folder`, which must exist.
    pub(super) fn new(folder: &Path, log: Log) -> io::Result<Self> {
        let root = folder.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: root.into(), tags: Arc::default(), log })
    }

    /// Answers one request. Never fails: what goes wrong here is a 404 or a 500.
    pub(super) async fn respond<B>(&self, peer: SocketAddr, request: Request<B>) -> Response<Body> {
        let answer = self.answer(&request).await;
        let access = Access {
            peer,
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            status: answer.status.as_u16(),
            bytes: 0,
            range: answer.part,
        };
        let mut response = Response::new(answer.body.reporting(access, self.log.clone()));
        *response.status_mut() = answer.status;
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    async fn answer<B>(&self, request: &Request<B>) -> Answer {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = Answer::bare(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers.push((ALLOW, "GET, HEAD".to_owned()));
            return answer;
        }
        let Some(relative) = relative_path(request.uri().path()) else {
            return Answer::bare(StatusCode::NOT_FOUND);
        };
        let (root, tags) = (Arc::clone(&self.root), Arc::clone(&self.tags));
        let path = relative.clone();
        match tokio::task::spawn_blocking(move || find(&root, &path, &tags)).await {
            Ok(Ok(Some(found))) => {
                Answer::of(found, &relative, request.method(), request.headers())
            }
            Ok(Ok(None)) => Answer::bare(StatusCode::NOT_FOUND),
            // The disk failed, or hashing was stopped by a shutdown.
            Ok(Err(_)) | Err(_) => Answer::bare(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Answer {
    /// No body but its length.
    fn bare(status: StatusCode) -> Self {
        let headers = vec![(CONTENT_LENGTH, "0".to_owned())];
        Self { status, headers, part: None, body: Body::empty() }
    }

    /// The conditions in the order of RFC 9110, section 13.2.2.
    fn of(mut found: Found, path: &Path, method: &Method, asked: &HeaderMap) -> Self {
        let tag = (ETAG, found.tag.clone());
        let listed =
            |name, comparison| {
                let mut lists = asked.get_all(name).iter().peekable();
                lists.peek()?;
                Some(lists.any(|list| {
                    list.to_str().is_ok_and(|list| listed(list, &found.tag, comparison))
                }))
            };
        if listed(IF_MATCH, Comparison::Strong) == Some(false) {
            return Self::bare(StatusCode::PRECONDITION_FAILED);
        }
        if listed(IF_NONE_MATCH, Comparison::Weak) == Some(true) {
            let headers = vec![tag];
            let status = StatusCode::NOT_MODIFIED;
            return Self { status, headers, part: None, body: Body::empty() };
        }
        let mut headers = vec![
            tag,
            (ACCEPT_RANGES, "bytes".to_owned()),
            (CONTENT_TYPE, content_type(path).to_owned()),
        ];
        let (status, part) = match wanted_range(method, asked, &found) {
            Range::Whole => (StatusCode::OK, None),
            Range::Part(first, last) => (StatusCode::PARTIAL_CONTENT, Some((first, last))),
            Range::Unsatisfiable => {
                let mut answer = Self::bare(StatusCode::RANGE_NOT_SATISFIABLE);
                answer.headers.push((CONTENT_RANGE, format!("bytes */{}", found.length)));
                return answer;
            }
        };
        let (first, length) = match part {
            None => (0, found.length),
            Some((first, last)) => {
                headers.push((CONTENT_RANGE, format!("bytes {first}-{last}/{}", found.length)));
                (first, last.saturating_sub(first).saturating_add(1))
            }
        };
        headers.push((CONTENT_LENGTH, length.to_string()));
        let body = if method == Method::HEAD {
            Body::empty()
        } else if found.file.seek(SeekFrom::Start(first)).is_ok() {
            Body::file(tokio::fs::File::from_std(found.file), length)
        } else {
            return Self::bare(StatusCode::INTERNAL_SERVER_ERROR);
        };
        Self { status, headers, part, body }
    }
}

/// A range counts for GET alone (RFC 9110, section 14.2), and with `If-Range` only while the file is
/// the one the client began with. A date there names no file of ours: none was ever sent.
fn wanted_range(method: &Method, asked: &HeaderMap, found: &Found) -> Range {
    let Some(range) = asked.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return Range::Whole;
    };
    let same = asked.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == found.tag.as_bytes());
    if method == Method::GET && same { Range::parse(range, found.length) } else { Range::Whole }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => "application/json",
        Some(_) | None => "application/octet-stream",
    }
}

/// Turns a request's path into a path below the folder. `None` for anything but plain names: empty
/// ones, dot files and `..`, separators and drive letters hidden behind percent signs.
fn relative_path(path: &str) -> Option<PathBuf> {
    path.strip_prefix('/')?
        .split('/')
        .map(|segment| {
            let name = percent_decode_str(segment).decode_utf8().ok()?;
            let plain = !name.is_empty()
                && !name.starts_with('.')
                && !name.contains(['/', '\\', ':', '\0']);
            plain.then(|| name.into_owned())
        })
        .collect()
}

/// Opens a plain file below `root`, links followed but not out of it and not to dot files.
fn find(root: &Path, relative: &Path, tags: &Tags) -> io::Result<Option<Found>> {
    // Whatever is wrong on the way there, the path names no file of ours.
    let Ok(path) = root.join(relative).canonicalize() else { return Ok(None) };
    let inside = path.strip_prefix(root).is_ok_and(|inner| inner.components().all(is_plain));
    // Before opening: to open a pipe is to wait for its writer.
    if !inside || !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(None),
                _ => Err(error),
            };
        }
    };
    let length = file.metadata()?.len();
    let tag = tags.tag(&path, &mut file)?;
    Ok(Some(Found { file, length, tag }))
}

fn is_plain(component: Component<'_>) -> bool {
    match component {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_stay_and_everything_else_is_refused() {
        for (path, expected) in [
            ("/a.bin", Some("a.bin")),
            ("/metadata/1.root.json", Some("metadata/1.root.json")),
            ("/a%20b", Some("a b")),
            ("/", None),
            ("/a/", None),
            ("//a", None),
            ("/../a", None),
            ("/a/%2e%2e/b", None),
            ("/%2e%2e%2fb", None),
            ("/a%2fb", None),
            ("/a%5cb", None),
            ("/.git/config", None),
            ("/a/.lock", None),
            ("/c:/a", None),
            ("/a%00", None),
            ("/%ff", None),
            ("a", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(relative_path(path), expected.map(PathBuf::from), "{path}");
        }
    }
}
