//! The HTTPS server for the bench: the files of a folder, as a device's small client needs them.
//!
//! It is built on hyper alone, because what matters here are limits on connections and exact
//! headers, and a router has no say in either.

mod access;
mod body;
mod etag;
mod limits;
mod range;
mod static_files;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

pub use access::{Access, Event, Log};
pub use limits::Limits;

use crate::error::{Exit, Explained};
use static_files::StaticFiles;

/// Any free port of the loopback interface: nobody else on the network gets in unasked.
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Pause after a failed accept, which most often means that the process has no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What to serve, and how.
#[derive(Debug)]
pub struct Config {
    /// The folder.
    pub folder: PathBuf,
    /// Where to listen; port 0 takes a free one. Most callers want [`LOOPBACK`].
    pub bind: SocketAddr,
    /// The server's certificate, and intermediates if there are any.
    pub chain: Vec<CertificateDer<'static>>,
    /// The certificate's private key.
    pub key: PrivateKeyDer<'static>,
    /// Who is told of requests.
    pub log: Log,
    /// What a client may cost.
    pub limits: Limits,
}

/// A running server. Dropping it begins a shutdown; [`Server::shutdown`] waits for its end.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The folder is missing, no folder, or closed to us.
    #[error("`{}` cannot be served", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address is taken, not ours, or the port needs privileges.
    #[error("`{bind}` cannot be listened on")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate and key do not go together, or one of them is unusable.
    #[error("the server's certificate cannot be used")]
    Certificate(#[source] rustls::Error),
}

impl Explained for ServerError {
    fn exit(&self) -> Exit {
        match self {
            Self::Folder { .. } => Exit::Project,
            Self::Bind { .. } => Exit::Network,
            Self::Certificate(_) => Exit::Trust,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Folder { .. } => {
                Some("publish something there first: `cargo esp-ota publish`".to_owned())
            }
            Self::Bind { .. } => Some(
                "pass an address of this computer with `--bind` and a free port with `--port`; 0 takes \
                 one"
                    .to_owned(),
            ),
            Self::Certificate(_) => None,
        }
    }
}

impl Server {
    /// Binds and serves on the tokio runtime this is called in.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let Config { folder, bind, chain, key, log, limits } = config;
        let files = StaticFiles::new(&folder, log.clone())
            .map_err(|source| ServerError::Folder { folder, source })?;
        let tls = tls::config(chain, key).map_err(ServerError::Certificate)?;
        let bound = |source| ServerError::Bind { bind, source };
        let listener = TcpListener::bind(bind).await.map_err(bound)?;
        let addr = listener.local_addr().map_err(bound)?;
        let host = Host { files, tls: TlsAcceptor::from(tls), log, limits };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(host.run(listener, stopped));
        Ok(Self { addr, stop, task })
    }

    /// Where it listens, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts nothing more, lets answers under way finish for [`Limits::shutdown`], then cuts them.
    pub async fn shutdown(self) {
        // Fails only if the task has ended, and then there is nothing to stop.
        let _ = self.stop.send(());
        // Fails only if the task was aborted or panicked: stopped either way.
        let _ = self.task.await;
    }
}

/// Everything a connection needs.
#[derive(Clone)]
struct Host {
    files: StaticFiles,
    tls: TlsAcceptor,
    log: Log,
    limits: Limits,
}

impl Host {
    async fn run(self, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.limits.connections));
        // Dropping the set, at the end or with the runtime, ends the connections still in it.
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                // An answer, or the error of a dropped `Server`.
                _ = &mut stopped => break,
                Some(_) = connections.join_next() => continue,
                accepted = accepted => accepted,
            };
            let (Ok(place), Ok((stream, peer))) = (place, accepted) else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Head and body leave in two writes, and the second would wait for the client's delayed
            // acknowledgement: 40 ms for each answer. Fails only on a dead connection.
            let _ = stream.set_nodelay(true);
            let (host, watcher) = (self.clone(), graceful.watcher());
            connections.spawn(async move {
                // Running out of time closes the connection; there is nobody to tell.
                let _ = timeout(host.limits.connection, host.converse(stream, peer, watcher)).await;
                drop(place);
            });
        }
        drop(listener);
        // Past the limit the set is dropped, and the connections with it.
        let _ = timeout(self.limits.shutdown, graceful.shutdown()).await;
    }

    /// Shakes hands and answers requests until the client has had enough.
    async fn converse(&self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        let shaken = timeout(self.limits.handshake, self.tls.accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.log.report(Event::Handshake { peer, reason: error.to_string() });
                return;
            }
            Err(_) => {
                let reason = "no handshake in time".to_owned();
                self.log.report(Event::Handshake { peer, reason });
                return;
            }
        };
        let service = service_fn(|request| async move {
            Ok::<_, Infallible>(self.files.respond(peer, request).await)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_header_size(self.limits.head_bytes)
            .serve_connection(TokioIo::new(stream), service);
        // A client that hangs up in the middle is in the access log already.
        let _ = watcher.watch(connection).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;

    use jiff::Timestamp;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::trust::BenchRoot;

    /// SHA-256 of `0123456789`, by sha256sum.
    const TAG: &str = "\"84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882\"";

    /// A served folder with `file.bin` (ten digits) and `metadata/x.json`.
    struct Bench {
        folder: TempDir,
        server: Server,
        events: Arc<Mutex<Vec<Event>>>,
        connector: TlsConnector,
    }

    /// A raw answer: its head in lower case, and its body.
    struct Answer {
        head: String,
        body: Vec<u8>,
    }

    impl Answer {
        fn status(&self) -> &str {
            self.head.split(' ').nth(1).unwrap()
        }

        fn header(&self, name: &str) -> Option<&str> {
            self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        }
    }

    impl Bench {
        async fn start() -> Self {
            Self::with(Limits::default()).await
        }

        async fn with(limits: Limits) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let served = folder.path().join("served");
            fs::create_dir_all(served.join("metadata")).unwrap();
            fs::write(served.join("file.bin"), "0123456789").unwrap();
            fs::write(served.join("metadata/x.json"), "{}").unwrap();
            fs::write(folder.path().join("outside"), "secret").unwrap();
            let now = Timestamp::now();
            let root = BenchRoot::load_or_make(&folder.path().join("bench"), now).unwrap();
            let leaf = root.leaf(&["127.0.0.1".parse().unwrap()], now).unwrap();
            let events = Arc::new(Mutex::new(Vec::new()));
            let taken = Arc::clone(&events);
            let config = Config {
                folder: served,
                bind: LOOPBACK,
                chain: leaf.chain,
                key: leaf.key,
                log: Log::new(move |event| taken.lock().unwrap().push(event)),
                limits,
            };
            let server = Server::start(config).await.unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(root.certificate().der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let client = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let connector = TlsConnector::from(Arc::new(client));
            Self { folder, server, events, connector }
        }

        fn served(&self, path: &str) -> PathBuf {
            self.folder.path().join("served").join(path)
        }

        async fn connect(&self) -> TlsStream<TcpStream> {
            let stream = TcpStream::connect(self.server.addr()).await.unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            self.connector.connect(name, stream).await.unwrap()
        }

        /// Sends a request of these lines and reads until the server closes.
        async fn ask(&self, lines: &[&str]) -> Answer {
            let mut stream = self.connect().await;
            let request = format!("{}\r\nHost: x\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let (head, body) = all.split_at(end.checked_add(4).unwrap());
            let head = String::from_utf8(head.to_vec()).unwrap().to_ascii_lowercase();
            Answer { head, body: body.to_vec() }
        }

        async fn get(&self, path: &str, headers: &[&str]) -> Answer {
            let first = format!("GET {path} HTTP/1.1");
            let mut lines = vec![first.as_str()];
            lines.extend(headers);
            self.ask(&lines).await
        }
    }

    #[tokio::test]
    async fn a_file_comes_whole_with_length_tag_and_date_and_a_small_head() {
        let bench = Bench::start().await;
        let answer = bench.get("/file.bin", &[]).await;
        assert_eq!(answer.status(), "200");
        assert_eq!(answer.body, b"0123456789");
        assert_eq!(answer.header("content-length"), Some("10"));
        assert_eq!(answer.header("etag"), Some(TAG));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert!(answer.header("date").is_some());
        assert_eq!(answer.header("transfer-encoding"), None);
        assert!(answer.head.len() < 512, "{} bytes", answer.head.len());
        let json = bench.get("/metadata/x.json?cache=no", &[]).await;
        assert_eq!((json.status(), json.body.as_slice()), ("200", b"{}".as_slice()));
        assert_eq!(json.header("content-type"), Some("application/json"));
    }

    #[tokio::test]
    async fn a_head_request_gets_the_same_head_and_no_body() {
        let bench = Bench::start().await;
        let whole = bench.get("/file.bin", &[]).await;
        let answer = bench.ask(&["HEAD /file.bin HTTP/1.1", "Range: bytes=2-3"]).await;
        let without_date = |head: &str| {
            head.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without_date(&answer.head), without_date(&whole.head));
        assert_eq!(answer.body, b"");
    }

    #[tokio::test]
    async fn a_range_is_206_with_its_place_and_416_when_outside() {
        let bench = Bench::start().await;
        let part = bench.get("/file.bin", &["Range: bytes=4-"]).await;
        assert_eq!((part.status(), part.body.as_slice()), ("206", b"456789".as_slice()));
        assert_eq!(part.header("content-range"), Some("bytes 4-9/10"));
        assert_eq!(part.header("content-length"), Some("6"));
        assert_eq!(part.header("etag"), Some(TAG));
        assert!(part.head.len() < 512, "{} bytes", part.head.len());
        let last = bench.get("/file.bin", &["Range: bytes=9-9"]).await;
        assert_eq!((last.status(), last.body.as_slice()), ("206", b"9".as_slice()));
        let outside = bench.get("/file.bin", &["Range: bytes=10-"]).await;
        assert_eq!((outside.status(), outside.body.as_slice()), ("416", b"".as_slice()));
        assert_eq!(outside.header("content-range"), Some("bytes */10"));
        let several = bench.get("/file.bin", &["Range: bytes=0-1,3-4"]).await;
        assert_eq!((several.status(), several.body.len()), ("200", 10));
    }

    #[tokio::test]
    async fn a_resumed_download_of_a_changed_file_starts_over() {
        let bench = Bench::start().await;
        let range = "Range: bytes=4-";
        let same = bench.get("/file.bin", &[range, &format!("If-Range: {TAG}")]).await;
        assert_eq!(same.status(), "206");
        fs::write(bench.served("file.bin"), "abcdefghij").unwrap();
        let changed = bench.get("/file.bin", &[range, &format!("If-Range: {TAG}")]).await;
        assert_eq!((changed.status(), changed.body.as_slice()), ("200", b"abcdefghij".as_slice()));
        for other in ["W/\"x\"", "Sun, 22 Nov 2026 10:00:00 GMT", ""] {
            let answer = bench.get("/file.bin", &[range, &format!("If-Range: {other}")]).await;
            assert_eq!(answer.status(), "200", "{other}");
        }
    }

    #[tokio::test]
    async fn what_the_client_has_already_is_304() {
        let bench = Bench::start().await;
        for tag in [TAG, "*", &format!("W/{TAG}"), &format!("\"x\", {TAG}")] {
            let answer = bench.get("/file.bin", &[&format!("If-None-Match: {tag}")]).await;
            assert_eq!((answer.status(), answer.body.as_slice()), ("304", b"".as_slice()), "{tag}");
            assert_eq!(answer.header("etag"), Some(TAG));
        }
        let other = bench.get("/file.bin", &["If-None-Match: \"x\""]).await;
        assert_eq!(other.status(), "200");
        let missed = bench.get("/file.bin", &["If-Match: \"x\""]).await;
        assert_eq!(missed.status(), "412");
    }

    #[tokio::test]
    async fn nothing_but_plain_files_of_the_folder_is_found() {
        let bench = Bench::start().await;
        fs::write(bench.served(".hidden"), "secret").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(bench.folder.path().join("outside"), bench.served("link")).unwrap();
            symlink(bench.folder.path(), bench.served("up")).unwrap();
            symlink(bench.served(".hidden"), bench.served("to-hidden")).unwrap();
            symlink("loop", bench.served("loop")).unwrap();
            symlink("file.bin", bench.served("inside")).unwrap();
            let inside = bench.get("/inside", &[]).await;
            assert_eq!((inside.status(), inside.body.len()), ("200", 10));
        }
        let long = format!("/{}", "a".repeat(5000));
        for path in [
            "/",
            "/metadata",
            "/metadata/",
            "/missing",
            "/file.bin/",
            "/file.bin/x",
            "/../outside",
            "/%2e%2e/outside",
            "/metadata/../../outside",
            "/..%2foutside",
            "/.hidden",
            "/link",
            "/up/outside",
            "/to-hidden",
            "/loop",
            "//file.bin",
            &long,
        ] {
            let answer = bench.get(path, &[]).await;
            assert_eq!(
                (answer.status(), answer.body.as_slice()),
                ("404", b"".as_slice()),
                "{path}"
            );
            assert_eq!(answer.header("content-length"), Some("0"), "{path}");
            assert_eq!(answer.header("location"), None);
        }
    }

    #[tokio::test]
    async fn only_get_and_head_are_allowed() {
        let bench = Bench::start().await;
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
            let answer = bench.ask(&[&format!("{method} /file.bin HTTP/1.1")]).await;
            assert_eq!(answer.status(), "405", "{method}");
            assert_eq!(answer.header("allow"), Some("get, head"));
        }
        assert_eq!(fs::read(bench.served("file.bin")).unwrap(), b"0123456789");
    }

    #[tokio::test]
    async fn every_request_is_reported_with_what_went_out() {
        let bench = Bench::start().await;
        bench.get("/file.bin", &["Range: bytes=4-6"]).await;
        bench.get("/missing", &[]).await;
        let events = bench.events.lock().unwrap();
        let seen: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Access(access) => {
                    (access.path.as_str(), access.status, access.bytes, access.range)
                }
                Event::Handshake { reason, .. } => panic!("{reason}"),
            })
            .collect();
        assert_eq!(seen, [("/file.bin", 206, 3, Some((4, 6))), ("/missing", 404, 0, None)]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_trust_us_is_reported() {
        let bench = Bench::start().await;
        let mut plain = TcpStream::connect(bench.server.addr()).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // The server answers with a TLS alert or resets; both end the conversation.
        let _ = plain.read_to_end(&mut rest).await;
        let events = bench.events.lock().unwrap();
        assert!(matches!(events.as_slice(), [Event::Handshake { .. }]), "{events:?}");
    }

    #[tokio::test]
    async fn silent_clients_are_cut_off_and_the_next_one_gets_their_place() {
        let brief = Duration::from_millis(300);
        let limits = Limits { connections: 1, handshake: brief, head: brief, ..Limits::default() };
        let bench = Bench::with(limits).await;
        let _no_handshake = TcpStream::connect(bench.server.addr()).await.unwrap();
        let mut half_a_head = bench.connect().await;
        half_a_head.write_all(b"GET /file.bin HTTP/1.1\r\nHos").await.unwrap();
        let waiting = timeout(Duration::from_secs(10), bench.get("/file.bin", &[])).await;
        assert_eq!(waiting.unwrap().status(), "200");
        let mut idle = bench.connect().await;
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(10), idle.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "an idle connection stays open");
    }

    #[tokio::test]
    async fn a_connection_has_an_end_however_slowly_it_reads() {
        const SIZE: usize = 12 << 20;
        let limits = Limits { connection: Duration::from_secs(2), ..Limits::default() };
        let bench = Bench::with(limits).await;
        fs::write(bench.served("large.bin"), vec![7; SIZE]).unwrap();
        let mut stream = bench.connect().await;
        stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(2500)).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        assert!(all.len() < SIZE, "{}", all.len());
        let events = bench.events.lock().unwrap();
        let [Event::Access(access)] = events.as_slice() else { panic!("{events:?}") };
        assert!(access.bytes > 0 && access.bytes < 12 << 20, "{access:?}");
    }

    #[tokio::test]
    async fn a_head_beyond_the_limit_is_431() {
        let bench = Bench::start().await;
        let filler = format!("X: {}", "a".repeat(8 * 1024));
        assert_eq!(bench.get("/file.bin", &[&filler]).await.status(), "431");
    }

    #[tokio::test]
    async fn a_shutdown_lets_an_answer_finish_and_then_nobody_answers() {
        let bench = Bench::start().await;
        fs::write(bench.served("large.bin"), vec![7; 4 << 20]).unwrap();
        let mut stream = bench.connect().await;
        stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 1024];
        stream.read_exact(&mut first).await.unwrap();
        let addr = bench.server.addr();
        let stopping = tokio::spawn(bench.server.shutdown());
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() + first.len() > 4 << 20);
        stopping.await.unwrap();
        assert!(TcpStream::connect(addr).await.is_err());
    }

    #[tokio::test]
    async fn what_stops_the_server_from_starting_is_named() {
        let bench = Bench::start().await;
        let now = Timestamp::now();
        let root = BenchRoot::load_or_make(&bench.folder.path().join("bench"), now).unwrap();
        let try_start = async |folder: &Path, bind, other_key| {
            let leaf = root.leaf(&["localhost".parse().unwrap()], now).unwrap();
            let other = root.leaf(&["localhost".parse().unwrap()], now).unwrap();
            let key = if other_key { other.key } else { leaf.key };
            let (chain, limits) = (leaf.chain, Limits::default());
            let folder = folder.to_owned();
            let log = Log::silent();
            Server::start(Config { folder, bind, chain, key, log, limits }).await.unwrap_err()
        };
        let served = bench.served("");
        let missing = try_start(&served.join("nowhere"), LOOPBACK, false).await;
        assert_eq!(missing.exit(), Exit::Project);
        let file = try_start(&served.join("file.bin"), LOOPBACK, false).await;
        assert_eq!(file.exit(), Exit::Project);
        let taken = try_start(&served, bench.server.addr(), false).await;
        assert_eq!(taken.exit(), Exit::Network);
        let mismatch = try_start(&served, LOOPBACK, true).await;
        assert_eq!(mismatch.exit(), Exit::Trust);
    }
}
