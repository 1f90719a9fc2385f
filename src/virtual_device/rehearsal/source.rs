//! Where a rehearsed device gets its files from: the store itself, or its public URL over HTTPS.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::traffic::Traffic;
use crate::agent::ports::{Response, Transport, TransportError};
use crate::release::plan::{LIVE_TIMESTAMP, STAGED_TIMESTAMP};
use crate::release::repository::View;
use crate::release::store::{Store, StoreError};
use crate::trust::PinnedRoot;
use crate::virtual_device::tls_transport::{Options, TlsTransport, TransportSetupError};

/// A place that has the files of a repository.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// The store that `publish` writes to.
    Store(&'a Store),
    /// The URL that devices read.
    Url {
        /// As in `esp-ota.toml`.
        url: &'a str,
        /// Connect here, whatever the name in the URL resolves to.
        connect_to: Option<SocketAddr>,
    },
}

/// A repository as a device reads it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where its files are.
    pub place: Place<'a>,
    /// Through which timestamp it is read.
    pub view: View,
    /// The device's clock: servers have to be valid at this time.
    pub now: Timestamp,
}

impl<'a> Source<'a> {
    /// A way to the files for a device that pins these roots.
    pub fn open(&self, roots: &[PinnedRoot]) -> Result<Wire<'a>, TransportSetupError> {
        let way = match self.place {
            Place::Store(store) => Way::Store { store, body: Vec::new(), at: 0, failed: None },
            Place::Url { url, connect_to } => {
                let options = Options { connect_to, ..Options::default() };
                Way::Tls(Box::new(TlsTransport::new(url, roots, self.now, options)?))
            }
        };
        Ok(Wire { way, view: self.view, path: String::new(), traffic: Traffic::default() })
    }
}

/// One device's way to the files, with a meter.
#[derive(Debug)]
pub struct Wire<'a> {
    way: Way<'a>,
    view: View,
    /// What was asked for last.
    path: String,
    traffic: Traffic,
}

#[derive(Debug)]
enum Way<'a> {
    Store { store: &'a Store, body: Vec<u8>, at: usize, failed: Option<StoreError> },
    Tls(Box<TlsTransport>),
}

/// What the agent was not told of a failure.
#[derive(Debug)]
pub enum Trouble {
    /// The store could not be read.
    Store(StoreError),
    /// What the network said.
    Network(String),
}

impl Wire<'_> {
    /// What went over it so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Why the last request failed, where more is known than the agent was told.
    pub fn trouble(self) -> Option<Trouble> {
        match self.way {
            Way::Store { failed, .. } => failed.map(Trouble::Store),
            Way::Tls(tls) => tls.last_error().map(|error| Trouble::Network(error.to_owned())),
        }
    }

    /// A whole file of at most `limit` bytes; `Err` holds the status of another answer than 200.
    pub(super) async fn whole(
        &mut self,
        path: &str,
        limit: usize,
    ) -> Result<Result<Vec<u8>, u16>, TransportError> {
        let response = self.get(path, 0, None).await?;
        if response.status != 200 {
            return Ok(Err(response.status));
        }
        let (mut file, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let count = self.read(&mut part).await?;
            file.extend_from_slice(part.get(..count).unwrap_or_default());
            // One byte too many is enough to know.
            if count == 0 || file.len() > limit {
                return Ok(Ok(file));
            }
        }
    }
}

impl Transport for Wire<'_> {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        path.clone_into(&mut self.path);
        let files = self.traffic.of(path);
        files.requests = files.requests.saturating_add(1);
        let is_staged = self.view == View::Staged && path == LIVE_TIMESTAMP;
        let path = if is_staged { STAGED_TIMESTAMP } else { path };
        match &mut self.way {
            Way::Tls(tls) => tls.get(path, from, if_range).await,
            Way::Store { store, body, at, failed } => {
                *failed = None;
                let found = store.read(path).await.map_err(|error| {
                    *failed = Some(error);
                    TransportError::Unreachable
                })?;
                let is_found = found.is_some();
                *body = found.unwrap_or_default();
                *at = usize::try_from(from).unwrap_or(usize::MAX);
                let length = u32::try_from(body.len().saturating_sub(*at)).ok();
                let status = match (is_found, from) {
                    (false, _) => 404,
                    (true, 0) => 200,
                    (true, _) => 206,
                };
                Ok(Response { status, length, start: from, ..Response::default() })
            }
        }
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let count = match &mut self.way {
            Way::Tls(tls) => tls.read(buf).await?,
            Way::Store { body, at, .. } => {
                let rest = body.get(*at..).unwrap_or_default();
                let count = rest.len().min(buf.len());
                for (to, from) in buf.iter_mut().zip(rest) {
                    *to = *from;
                }
                *at = at.saturating_add(count);
                count
            }
        };
        let files = self.traffic.of(&self.path);
        files.bytes = files.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}
