//! Lets `tough`'s client read a store.
//!
//! Its own file transport takes URL paths as they are, so it fails on a folder with a space in its
//! name; and the staged timestamp has to stand in for the live one.

use futures_util::stream;
use tough::{Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

use super::plan::{LIVE_TIMESTAMP, STAGED_TIMESTAMP};
use super::store::Store;

/// The base of the addresses that [`StoreTransport`] is asked for; the host means nothing.
pub(super) const BASE: &str = "store://repository/";

/// Through which timestamp a repository is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The live one: what devices see.
    #[default]
    Live,
    /// The staged one: what devices will see after promotion.
    Staged,
}

impl View {
    /// The path of its timestamp in the store.
    pub(super) const fn timestamp(self) -> &'static str {
        match self {
            Self::Live => LIVE_TIMESTAMP,
            Self::Staged => STAGED_TIMESTAMP,
        }
    }
}

/// Reads a store through `tough`.
#[derive(Clone, Debug)]
pub(super) struct StoreTransport {
    pub(super) store: Store,
    pub(super) view: View,
}

#[async_trait]
impl Transport for StoreTransport {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = match url.path().trim_start_matches('/') {
            LIVE_TIMESTAMP => self.view.timestamp(),
            other => other,
        };
        match self.store.read(path).await {
            Ok(Some(bytes)) => Ok(Box::pin(stream::iter([Ok(Bytes::from(bytes))]))),
            Ok(None) => Err(TransportError::new(TransportErrorKind::FileNotFound, path)),
            // As the first piece of a stream, not as the answer: `tough` takes any failure to
            // open the next root for its absence.
            Err(error) => {
                let error = TransportError::new_with_cause(TransportErrorKind::Other, path, error);
                Ok(Box::pin(stream::iter([Err(error)])))
            }
        }
    }
}
