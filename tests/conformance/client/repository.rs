//! The repository over HTTP, with a cache in between that knows no trust.
//!
//! A device reads snapshot and targets anew each time. The suite counts requests, and wants files
//! that cannot have changed, because their version is in their name, to be asked for once. So those
//! that are trusted already come from the folder; the agent judges them again all the same.

use std::error::Error;

use bytes::Bytes;
use cargo_esp_ota::agent::json::Value;
use cargo_esp_ota::agent::ports::{Response, Transport, TransportError};
use cargo_esp_ota::agent::tuf::Role;

use crate::folder::Folder;

/// Where metadata comes from.
#[derive(Debug)]
pub(crate) struct Repository {
    client: reqwest::Client,
    url: String,
    folder: Folder,
    answer: Option<reqwest::Response>,
    /// What was received, or is in the folder, and was not asked for yet.
    left: Bytes,
}

impl Repository {
    pub(crate) fn new(url: &str, folder: Folder) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            client: client()?,
            url: url.to_owned(),
            folder,
            answer: None,
            left: Bytes::new(),
        })
    }
}

/// An HTTP client without TLS, proxies and redirects.
pub(crate) fn client() -> Result<reqwest::Client, Box<dyn Error>> {
    // The suite speaks plain HTTP, but the client wants to know whose cryptography it would use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    Ok(client.build()?)
}

/// Puts a path below a URL that may or may not end in a slash.
pub(crate) fn below(url: &str, path: &str) -> String {
    format!("{}/{path}", url.trim_end_matches('/'))
}

impl Transport for Repository {
    async fn get(
        &mut self,
        path: &str,
        _from: u32,
        _if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        let name = path.strip_prefix("metadata/").ok_or(TransportError::Unreachable)?;
        let (role, version) = role_and_version(name).ok_or(TransportError::Unreachable)?;
        let cached = self
            .folder
            .trusted(role)
            .filter(|file| role != Role::Root && version.is_some() && version_of(file) == version);
        self.folder.begin(role);
        self.answer = None;
        if let Some(file) = cached {
            self.left = file.into();
            return Ok(Response { status: 200, ..Response::default() });
        }
        let answer = self.client.get(below(&self.url, name)).send().await;
        let answer = answer.map_err(|_| TransportError::Unreachable)?;
        let response = Response {
            status: answer.status().as_u16(),
            length: answer.content_length().map(u32::try_from).and_then(Result::ok),
            // `Date` is left out: the server's clock is the real one, and the suite's is not.
            ..Response::default()
        };
        self.left = Bytes::new();
        self.answer = Some(answer);
        Ok(response)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        if self.left.is_empty()
            && let Some(answer) = &mut self.answer
        {
            let piece = answer.chunk().await.map_err(|_| TransportError::Unreachable)?;
            self.left = piece.unwrap_or_default();
        }
        let bytes = self.left.split_to(buf.len().min(self.left.len()));
        for (to, from) in buf.iter_mut().zip(&bytes) {
            *to = *from;
        }
        self.folder.append(&bytes);
        Ok(bytes.len())
    }
}

/// Takes `5.snapshot.json` and `timestamp.json` apart.
fn role_and_version(name: &str) -> Option<(Role, Option<u64>)> {
    let name = name.strip_suffix(".json")?;
    let (version, name) = match name.split_once('.') {
        Some((version, name)) => (Some(version.parse().ok()?), name),
        None => (None, name),
    };
    let roles = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets];
    let role = roles.into_iter().find(|role| role.name() == name)?;
    Some((role, version))
}

fn version_of(file: &[u8]) -> Option<u64> {
    Value::parse(file).ok()?.member("signed")?.member("version")?.unsigned()
}
