//! One request to a store and its answer: bounded in size, given up when nothing moves.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;

use super::WebDavError;
use crate::release::store::access::{Access, Credentials};

/// The largest file a store holds. No ESP32 maps more than 32 MiB of flash; the rest is room.
pub(super) const LARGEST_FILE: usize = 64 * 1024 * 1024;
/// Most of an answer that is read although nobody wants it, to use its connection again.
const LARGEST_EXCUSE: usize = 64 * 1024;
/// Bytes of a body that are handed over at once.
const PIECE: usize = 16 * 1024;

/// A client that trusts Mozilla's set and the given roots, and follows no redirect.
pub(super) fn client(access: &Access) -> Result<Client, WebDavError> {
    let mut anchors = RootCertStore::empty();
    let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    // What the library cannot read anchors nothing.
    anchors.add_parsable_certificates(mozilla.chain(&access.roots).cloned());
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| WebDavError::Setup(error.into()))?
        .with_root_certificates(anchors)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(access.patience.connect)
        .user_agent(concat!("cargo-esp-ota/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| WebDavError::Setup(error.into()))
}

/// The request with the credentials, where there are any.
pub(super) fn signed(request: RequestBuilder, credentials: Option<&Credentials>) -> RequestBuilder {
    match credentials {
        None => request,
        Some(Credentials::Basic { user, password }) => request.basic_auth(user, Some(password)),
        Some(Credentials::Bearer(token)) => request.bearer_auth(token),
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What is asked: for words in errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
}

impl Asked<'_> {
    fn host(&self) -> String {
        self.host.to_owned()
    }

    fn stalled(&self, stall: Duration) -> WebDavError {
        WebDavError::Stalled { host: self.host(), seconds: stall.as_secs() }
    }

    fn failed(&self, error: &reqwest::Error) -> WebDavError {
        match distrust(error) {
            Some(source) => WebDavError::Distrust { host: self.host(), source: Box::new(source) },
            None => WebDavError::Unreachable { host: self.host(), reason: innermost(error) },
        }
    }

    /// Sends one request, once. An answer that says "later" is an error.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        body: Option<Bytes>,
        stall: Duration,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Answer, WebDavError> {
        let (sent, mut seen) = watch::channel(0);
        let request = match body {
            Some(rest) => request.body(Body::wrap(Counted { rest, sent })),
            None => {
                drop(sent);
                request
            }
        };
        let mut answer = pin!(request.send());
        let mut response = loop {
            tokio::select! {
                answer = &mut answer => break answer.map_err(|error| self.failed(&error))?,
                // Once all is sent, nothing more comes from here, and the answer has its own time.
                Ok(()) = seen.changed() => progress(*seen.borrow_and_update()),
                () = tokio::time::sleep(stall) => return Err(self.stalled(stall)),
            }
        };
        // The last piece and the answer may have come together.
        let sent = *seen.borrow();
        if sent > 0 {
            progress(sent);
        }
        let status = response.status();
        if is_passing(status) {
            return Err(WebDavError::Busy {
                host: self.host(),
                status: status.as_u16(),
                method: self.method.to_string(),
                path: self.path.to_owned(),
                wait: wait(response.headers()),
            });
        }
        let headers = std::mem::take(response.headers_mut());
        let is_wanted = *self.method == Method::GET && status.is_success();
        let limit = if is_wanted { LARGEST_FILE } else { LARGEST_EXCUSE };
        let body = self.body(response, limit, stall).await;
        let body = if is_wanted { body? } else { Vec::new() };
        Ok(Answer { status, headers, body })
    }

    async fn body(
        &self,
        mut response: Response,
        limit: usize,
        stall: Duration,
    ) -> Result<Vec<u8>, WebDavError> {
        let mut body = Vec::new();
        loop {
            let piece = tokio::time::timeout(stall, response.chunk()).await;
            let piece = piece.map_err(|_| self.stalled(stall))?;
            let Some(piece) = piece.map_err(|error| self.failed(&error))? else { return Ok(body) };
            if body.len().saturating_add(piece.len()) > limit {
                return Err(WebDavError::Oversized { path: self.path.to_owned(), limit });
            }
            body.extend_from_slice(&piece);
        }
    }
}

/// Whether the same request may be answered otherwise a moment later.
fn is_passing(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => false,
        other => other.is_server_error(),
    }
}

/// `Retry-After` in seconds; dates are not read.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What the TLS library has against the certificate, where that is what failed.
fn distrust(error: &reqwest::Error) -> Option<rustls::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        // `source` of an io::Error passes over the error that it carries.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = match carried {
            Some(carried) => carried.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if let Some(rustls::Error::InvalidCertificate(_)) = tls {
            return tls.cloned();
        }
        next = carried.map_or_else(|| error.source(), |carried| Some(carried));
    }
    None
}

/// The innermost cause: the outer ones say only that a request failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A body of known length that tells how much of it was handed over.
struct Counted {
    rest: Bytes,
    sent: watch::Sender<u64>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { rest, sent } = self.get_mut();
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        sent.send_modify(|sent| *sent = sent.saturating_add(length));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}
