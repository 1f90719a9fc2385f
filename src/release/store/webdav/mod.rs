//! A store on a web server that takes files: WebDAV over HTTPS, and no more of it than nginx has.

mod address;
mod error;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use reqwest::{Client, Method, StatusCode};
use url::Url;

use super::access::{Access, Credentials, Patience};
use super::{LARGEST_JUMP, StoreError};
use crate::hex;
use crate::release::keys::Role;
pub use error::WebDavError;
use wire::{Answer, Asked};

/// Where files wait for their number.
const WAITING: &str = "metadata/staged";
const NOTHING: &(dyn Fn(u64) + Sync) = &|_| {};

/// A folder of a web server, and who writes there.
pub struct WebDav {
    address: Url,
    host: String,
    client: Client,
    credentials: Option<Credentials>,
    patience: Patience,
    /// Folders that are known to exist.
    folders: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for WebDav {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebDav").field(&self.address.as_str()).finish()
    }
}

/// Under which condition a file may be written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    Any,
    Absent,
    /// The file there has this strong tag.
    Tag(&'a str),
}

/// A file as the server has it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    /// Where it has a strong one.
    pub(super) tag: Option<String>,
}

impl WebDav {
    pub(super) fn open(text: &str, access: Access) -> Result<Self, WebDavError> {
        let address = address::read(text)?;
        let host = match (address.host_str(), address.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let client = wire::client(&access)?;
        let Access { credentials, patience, .. } = access;
        Ok(Self { address, host, client, credentials, patience, folders: Mutex::default() })
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Found>, WebDavError> {
        let answer = self.ask(Method::GET, path, None, Condition::Any, NOTHING).await?;
        let status = answer.status;
        if status.is_success() {
            let tag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.filter(|tag| tag.starts_with('"')).map(str::to_owned);
            return Ok(Some(Found { bytes: answer.body, tag }));
        }
        if is_absent(status) { Ok(None) } else { Err(self.refused(&Method::GET, path, &answer, 0)) }
    }

    pub(super) async fn exists(&self, path: &str) -> Result<bool, WebDavError> {
        let answer = self.ask(Method::HEAD, path, None, Condition::Any, NOTHING).await?;
        let status = answer.status;
        if status.is_success() || is_absent(status) {
            return Ok(status.is_success());
        }
        Err(self.refused(&Method::HEAD, path, &answer, 0))
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), WebDavError> {
        let answer = self.ask(Method::DELETE, path, None, Condition::Any, NOTHING).await?;
        if answer.status.is_success() || is_absent(answer.status) {
            return Ok(());
        }
        Err(self.refused(&Method::DELETE, path, &answer, 0))
    }

    /// The highest number above `above` that follows on it without a gap. Publishers take the next
    /// free number, so there are none.
    pub(super) async fn highest(&self, role: Role, above: u64) -> Result<Option<u64>, WebDavError> {
        let mut highest = None;
        let most = above.saturating_add(LARGEST_JUMP).saturating_add(1);
        for number in above.saturating_add(1)..=most {
            if !self.exists(&format!("metadata/{number}.{role}.json")).await? {
                break;
            }
            highest = Some(number);
        }
        Ok(highest)
    }

    /// Writes over whatever is there.
    pub(super) async fn replace(
        &self,
        path: &str,
        bytes: &[u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), WebDavError> {
        self.make_folders(path).await?;
        let body = Bytes::copy_from_slice(bytes);
        let answer = self.ask(Method::PUT, path, Some(body), Condition::Any, progress).await?;
        self.written(&Method::PUT, path, &answer, bytes)
    }

    /// The same, tried once: the caller looks before it tries again.
    pub(super) async fn replace_once(
        &self,
        path: &str,
        bytes: &[u8],
        condition: Condition<'_>,
    ) -> Result<(), WebDavError> {
        self.make_folders(path).await?;
        let body = Bytes::copy_from_slice(bytes);
        let answer = self.ask_once(&Method::PUT, path, Some(body), condition, NOTHING).await?;
        self.written(&Method::PUT, path, &answer, bytes)
    }

    /// Writes a file where none may be: under a name that nobody else has, then moved to its own,
    /// which nginx refuses where that exists.
    pub(super) async fn create_new(
        &self,
        path: &str,
        bytes: &[u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), StoreError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let waiting = format!("{WAITING}/{}.{name}", nonce()?);
        self.replace(&waiting, bytes, progress).await?;
        self.make_folders(path).await?;
        let answer = self.move_new(&waiting, path).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            // Refused, or done by an earlier try whose answer was lost: then nothing waits there.
            StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
                if self.exists(&waiting).await? {
                    self.remove(&waiting).await?;
                    return match answer.status {
                        StatusCode::PRECONDITION_FAILED => Err(StoreError::Lost(path.to_owned())),
                        _ => Err(self.refused(&move_method(), path, &answer, 0).into()),
                    };
                }
                self.expect_ours(path, bytes).await
            }
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                self.remove(&waiting).await?;
                self.create_without_move(path, bytes).await
            }
            _ => {
                let refused = self.refused(&move_method(), path, &answer, 0);
                self.remove(&waiting).await?;
                Err(refused.into())
            }
        }
    }

    /// For servers that cannot move: as good as the server's own check, and looked at afterwards.
    async fn create_without_move(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        if self.exists(path).await? {
            return Err(StoreError::Lost(path.to_owned()));
        }
        let body = Bytes::copy_from_slice(bytes);
        let answer = self.ask(Method::PUT, path, Some(body), Condition::Absent, NOTHING).await?;
        if answer.status != StatusCode::PRECONDITION_FAILED {
            self.written(&Method::PUT, path, &answer, bytes)?;
        }
        self.expect_ours(path, bytes).await
    }

    async fn expect_ours(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self.read(path).await? {
            Some(found) if found.bytes == bytes => Ok(()),
            Some(_) | None => Err(StoreError::Lost(path.to_owned())),
        }
    }

    async fn move_new(&self, from: &str, to: &str) -> Result<Answer, WebDavError> {
        let method = move_method();
        let ask = || async {
            let request = self
                .request(&method, from)
                // A path, not an address: the server may be behind another one.
                .header("Destination", self.address_of(to).path())
                .header("Overwrite", "F");
            let asked = Asked { host: &self.host, method: &method, path: to };
            asked.send(request, None, self.patience.stall, NOTHING).await
        };
        self.patiently(ask).await
    }

    /// Makes the folders above a file, where they are not known to exist.
    async fn make_folders(&self, path: &str) -> Result<(), WebDavError> {
        for (at, _) in path.match_indices('/') {
            let Some((folder, _)) = path.split_at_checked(at) else { continue };
            if self.folders.lock().unwrap_or_else(PoisonError::into_inner).contains(folder) {
                continue;
            }
            let method = Method::from_bytes(b"MKCOL").unwrap_or_default();
            let folder_path = format!("{folder}/");
            let answer = self.ask(method.clone(), &folder_path, None, Condition::Any, NOTHING);
            let answer = answer.await?;
            // Else it is made now, there already, or not to be made this way: writing will tell.
            if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status) {
                return Err(self.refused(&method, &folder_path, &answer, 0));
            }
            self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
        }
        Ok(())
    }

    fn address_of(&self, path: &str) -> Url {
        let mut address = self.address.clone();
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        address
    }

    fn request(&self, method: &Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.clone(), self.address_of(path));
        wire::signed(request, self.credentials.as_ref()).header(CACHE_CONTROL, "no-cache")
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        condition: Condition<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Answer, WebDavError> {
        self.patiently(|| self.ask_once(&method, path, body.clone(), condition, progress)).await
    }

    async fn ask_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        condition: Condition<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Answer, WebDavError> {
        let request = self.request(method, path);
        let request = match condition {
            Condition::Any => request,
            Condition::Absent => request.header(IF_NONE_MATCH, "*"),
            Condition::Tag(tag) => request.header(IF_MATCH, tag),
        };
        let asked = Asked { host: &self.host, method, path };
        asked.send(request, body, self.patience.stall, progress).await
    }

    /// Tries again what may come through later. Only for what may be done twice.
    async fn patiently<F>(&self, ask: impl FnMut() -> F) -> Result<Answer, WebDavError>
    where
        F: Future<Output = Result<Answer, WebDavError>>,
    {
        ask.retry(self.pauses())
            .sleep(tokio::time::sleep)
            .when(WebDavError::is_passing)
            .adjust(|error, pause| Some(error.wait().unwrap_or_default().max(pause?)))
            .await
    }

    fn pauses(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.patience.pause)
            .with_max_times(self.patience.retries)
            .with_jitter()
    }

    /// The pauses of one loop of tries.
    pub(super) fn each_pause(&self) -> impl Iterator<Item = std::time::Duration> + Send + use<> {
        self.pauses().build()
    }

    fn written(
        &self,
        method: &Method,
        path: &str,
        answer: &Answer,
        bytes: &[u8],
    ) -> Result<(), WebDavError> {
        if answer.status.is_success() {
            return Ok(());
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Err(self.refused(method, path, answer, length))
    }

    /// Words for an answer that is not what was asked for.
    fn refused(&self, method: &Method, path: &str, answer: &Answer, length: u64) -> WebDavError {
        let (host, path, status) = (self.host.clone(), path.to_owned(), answer.status);
        let is_reading = [Method::GET, Method::HEAD].contains(method);
        let method = method.to_string();
        match status {
            status if status.is_redirection() => {
                let target = answer.headers.get(LOCATION).and_then(|target| target.to_str().ok());
                let target = target.unwrap_or("nowhere").escape_debug().to_string();
                WebDavError::Redirect { path, target }
            }
            StatusCode::UNAUTHORIZED if self.credentials.is_none() => {
                WebDavError::NoCredentials { host, method, path }
            }
            StatusCode::UNAUTHORIZED => WebDavError::WrongCredentials { host, method, path },
            StatusCode::FORBIDDEN => WebDavError::Forbidden { host, method, path },
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                WebDavError::Method { host, method, path }
            }
            StatusCode::PRECONDITION_FAILED => WebDavError::Precondition { method, path },
            StatusCode::PAYLOAD_TOO_LARGE => WebDavError::TooLarge { host, path, length },
            StatusCode::INSUFFICIENT_STORAGE => WebDavError::Full { host },
            StatusCode::NOT_FOUND | StatusCode::CONFLICT if !is_reading => {
                WebDavError::NoFolder { host, path }
            }
            status if is_reading => {
                WebDavError::Unread { host, status: status.as_u16(), method, path }
            }
            status => WebDavError::Unwritten { host, status: status.as_u16(), method, path },
        }
    }
}

fn is_absent(status: StatusCode) -> bool {
    [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status)
}

fn move_method() -> Method {
    Method::from_bytes(b"MOVE").unwrap_or_default()
}

/// A name that no other publisher takes.
fn nonce() -> Result<String, WebDavError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| WebDavError::Setup(error.into()))?;
    Ok(hex::lower(&bytes))
}
