//! A web server that takes files, as nginx's dav module does, over real TLS; and that fails when told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Identity};

/// What the server holds, by path below the store.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What happens to a request instead of what it asks for.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// This answer, with a header.
    Status(u16, Option<(&'static str, &'static str)>),
    /// The connection ends in the middle of the request's body.
    Cut,
    /// It is done, but the connection ends before the answer.
    AnswerLost,
    /// So long nothing happens.
    Slow(Duration),
    /// Somebody else was there first.
    Meanwhile(fn(&mut Files)),
    /// The same, and the server is too busy for this one.
    Usurped(fn(&mut Files)),
}

/// Which requests fail, and how often.
struct Rule {
    method: &'static str,
    /// Part of the path.
    path: &'static str,
    fault: Fault,
    times: usize,
}

/// What it can do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Writing needs these credentials, as the header says them.
    pub(crate) authorization: Option<&'static str>,
    /// `If-Match` and `If-None-Match` count. For nginx they do not.
    pub(crate) is_conditional: bool,
}

#[derive(Default)]
struct State {
    files: Files,
    rules: Vec<Rule>,
    asked: Vec<String>,
}

/// A running server. It ends with its runtime.
pub(crate) struct DavServer {
    pub(crate) address: String,
    /// The root that its certificate ends in.
    pub(crate) root: Authority,
    state: Arc<Mutex<State>>,
    _runtime: tokio::runtime::Runtime,
}

impl DavServer {
    /// Serves nothing yet, to whoever asks.
    pub(crate) fn start() -> Self {
        Self::with(Manner::default())
    }

    pub(crate) fn with(manner: Manner) -> Self {
        let root = Authority::root("Store Root");
        let identity = root.leaf_with(&[], local);
        Self::showing(root, identity, manner)
    }

    /// With any certificate.
    pub(crate) fn showing(root: Authority, identity: Identity, manner: Manner) -> Self {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // A client that does not trust us is what some tests are about.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let answer = service_fn(|request| answer(request, manner, &state));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { address, root, state, _runtime: runtime }
    }

    /// The store, as `esp-ota.toml` names it.
    pub(crate) fn store(&self) -> String {
        format!("https://{}/t", self.address)
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.root.der()
    }

    /// The next so many requests of this method, with this in their path, fail.
    pub(crate) fn fail(
        &self,
        method: &'static str,
        path: &'static str,
        fault: Fault,
        times: usize,
    ) {
        self.state.lock().unwrap().rules.push(Rule { method, path, fault, times });
    }

    pub(crate) fn files(&self) -> Files {
        self.state.lock().unwrap().files.clone()
    }

    /// How many requests of this method had this in their path.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let begin = format!("{method} ");
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|it| it.starts_with(&begin) && it.contains(path)).count()
    }
}

/// A certificate for the address, too.
pub(crate) fn local(parameters: &mut rcgen::CertificateParams) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    parameters.subject_alt_names.push(rcgen::SanType::IpAddress(loopback));
}

type Answer = Response<Full<Bytes>>;

async fn answer(
    request: Request<Incoming>,
    manner: Manner,
    state: &Mutex<State>,
) -> Result<Answer, io::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().strip_prefix("/t/").unwrap_or_default().to_owned();
    let fault = {
        let mut state = state.lock().unwrap();
        state.asked.push(format!("{} {path}", head.method));
        let is_meant = |rule: &&mut Rule| {
            rule.times > 0 && head.method == rule.method && path.contains(rule.path)
        };
        state.rules.iter_mut().find(is_meant).map(|rule| {
            rule.times -= 1;
            rule.fault
        })
    };
    let cut = || io::Error::from(io::ErrorKind::ConnectionReset);
    match fault {
        Some(Fault::Status(status, header)) => {
            let _: Result<_, Infallible> = Ok(body.collect().await);
            let mut answer = plain(StatusCode::from_u16(status).unwrap());
            if let Some((name, value)) = header {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            return Ok(answer);
        }
        Some(Fault::Cut) => {
            let _ = body.frame().await;
            return Err(cut());
        }
        Some(Fault::Usurped(act)) => {
            act(&mut state.lock().unwrap().files);
            return Ok(plain(StatusCode::SERVICE_UNAVAILABLE));
        }
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Meanwhile(act)) => act(&mut state.lock().unwrap().files),
        Some(Fault::AnswerLost) | None => {}
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let answer = act(&head.method, &path, &head.headers, body, manner, state);
    match fault {
        Some(Fault::AnswerLost) => Err(cut()),
        _ => Ok(answer),
    }
}

fn act(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
    manner: Manner,
    state: &Mutex<State>,
) -> Answer {
    let files = &mut state.lock().unwrap().files;
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    let is_reading = [Method::GET, Method::HEAD].contains(method);
    if !is_reading
        && manner.authorization.is_some()
        && header("authorization") != manner.authorization
    {
        return plain(StatusCode::UNAUTHORIZED);
    }
    let found = files.get(path).cloned();
    let tag = found.as_ref().map(|bytes| format!("\"{:x?}\"", &Sha256::digest(bytes)[..4]));
    if manner.is_conditional && method == Method::PUT {
        let is_absent = header("if-none-match").is_none_or(|_| found.is_none());
        let is_same = header("if-match").is_none_or(|wanted| Some(wanted) == tag.as_deref());
        if !is_absent || !is_same {
            return plain(StatusCode::PRECONDITION_FAILED);
        }
    }
    match (method.as_str(), found) {
        ("GET" | "HEAD", Some(bytes)) => {
            let mut answer = Response::new(Full::from(bytes));
            answer.headers_mut().insert("etag", tag.unwrap().parse().unwrap());
            answer
        }
        ("PUT", found) => {
            files.insert(path.to_owned(), body.to_vec());
            plain(if found.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
        }
        ("DELETE", Some(_)) => {
            files.remove(path);
            plain(StatusCode::NO_CONTENT)
        }
        ("MKCOL", _) => plain(StatusCode::CREATED),
        ("MOVE", Some(bytes)) => {
            let to = header("destination").unwrap().strip_prefix("/t/").unwrap();
            if header("overwrite") == Some("F") && files.contains_key(to) {
                return plain(StatusCode::PRECONDITION_FAILED);
            }
            files.remove(path);
            files.insert(to.to_owned(), bytes);
            plain(StatusCode::NO_CONTENT)
        }
        ("GET" | "HEAD" | "DELETE" | "MOVE", None) => plain(StatusCode::NOT_FOUND),
        _ => plain(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
