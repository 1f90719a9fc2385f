//! `serve`: an HTTPS host for the bench, with a root of its own.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::{Context, ContextError, context};
use crate::config::Overrides;
use crate::error::{Exit, Explained, Failure};
use crate::output::{Paint, Report, Tone};
use crate::server::{Config, Event, LOOPBACK, Limits, Log, Server};
use crate::trust::{BenchRoot, IpOrDns};

/// Folder of the bench root in the user's configuration folder.
const BENCH: &str = "bench";
/// The name every machine has for itself.
const LOCALHOST: &str = "localhost";

/// Serve releases over HTTPS on the bench, with a root made for it
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Folder to serve [default: the project's `dir:` store]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Name or address that devices use; the certificate is issued for it. Repeatable
    #[arg(long, value_name = "HOST")]
    host: Vec<IpOrDns>,
    /// Address to listen on [default: the first address among the hosts, else loopback]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// Port; 0 takes a free one
    #[arg(long, default_value_t = 8443)]
    port: u16,
    #[command(flatten)]
    project: Overrides,
}

/// The project's store is nothing that can be served from here.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a folder of this machine")]
pub struct NoFolder(String);

impl Explained for NoFolder {
    fn exit(&self) -> Exit {
        Exit::Project
    }

    fn help(&self) -> Option<String> {
        Some("publish something with `cargo esp-ota publish`, or pass `--dir DIR`".into())
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ServeReport {
    url: String,
    address: SocketAddr,
    folder: PathBuf,
    root_ca: PathBuf,
    root_sha256: String,
    leaf_ends: Timestamp,
    init: String,
}

impl Serve {
    /// Serves until Ctrl-C. The answer is printed when the server is up.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let folder = match self.dir {
            Some(folder) => folder,
            None => {
                let project = context.project(&self.project)?;
                let store = context.store(&project)?;
                let remote = || NoFolder(project.store.value.clone());
                store.folder().ok_or_else(remote)?.to_owned()
            }
        };
        if !folder.is_dir() {
            return Err(NoFolder(folder.display().to_string()).into());
        }
        let now = context.now();
        let bench = BenchRoot::load_or_make(&context.configuration_folder()?.join(BENCH), now)?;
        let hosts = if self.host.is_empty() {
            let mut hosts = vec![IpOrDns::Ip(LOOPBACK.ip())];
            hosts.extend(LOCALHOST.parse());
            hosts
        } else {
            self.host
        };
        let named = hosts.iter().find_map(|host| match host {
            IpOrDns::Ip(address) => Some(*address),
            IpOrDns::Dns(_) => None,
        });
        let address = self.bind.or(named).unwrap_or(LOOPBACK.ip());
        if address.is_loopback() && hosts.iter().any(|host| !is_local(host)) {
            context.output.warn(format_args!(
                "listening on {address}, where only this computer gets in: pass `--bind ADDRESS`"
            ));
        }
        let leaf = bench.leaf(&hosts, now)?;
        let say = context.output.status_lines();
        let log = Log::new(move |event| say(&log_line(&event)));
        let config = Config {
            folder: folder.clone(),
            bind: SocketAddr::new(address, self.port),
            chain: leaf.chain,
            key: leaf.key,
            log,
            limits: Limits::default(),
        };
        let runtime = context::runtime()?;
        let server = runtime.block_on(Server::start(config))?;
        let address = server.addr();
        let url = url(&hosts, address.port());
        let report = ServeReport {
            init: format!("cargo esp-ota init --url {url} --root-ca {}", bench.path().display()),
            url,
            address,
            folder,
            root_ca: bench.path().to_owned(),
            root_sha256: bench.certificate().fingerprint_hex(),
            leaf_ends: leaf.not_after,
        };
        let announced = async {
            context.output.answer(&report, Exit::Success)?;
            std::future::pending::<Result<Infallible, Failure>>().await
        };
        runtime.block_on(async {
            tokio::select! {
                // First: Ctrl-C is listened for before anybody can read that the server is up.
                biased;
                heard = tokio::signal::ctrl_c() => heard.map_err(ContextError::Runtime)?,
                Err(failure) = announced => return Err(failure),
            }
            server.shutdown().await;
            Ok(Exit::Success)
        })
    }
}

/// Whether a host is this computer in its own eyes.
fn is_local(host: &IpOrDns) -> bool {
    match host {
        IpOrDns::Ip(address) => address.is_loopback(),
        IpOrDns::Dns(name) => name.as_ref() == LOCALHOST,
    }
}

/// The URL of the first host.
fn url(hosts: &[IpOrDns], port: u16) -> String {
    match hosts.first() {
        Some(IpOrDns::Ip(IpAddr::V6(address))) => format!("https://[{address}]:{port}"),
        Some(host) => format!("https://{host}:{port}"),
        None => String::new(),
    }
}

/// One line for each request.
fn log_line(event: &Event) -> String {
    match event {
        Event::Access(access) => {
            let range = access.range.map(|(from, to)| format!(" bytes {from}-{to}"));
            format!(
                "{} {} {} {} {}{}",
                access.peer,
                access.method.escape_default(),
                access.path.escape_default(),
                access.status,
                access.bytes,
                range.unwrap_or_default()
            )
        }
        Event::Handshake { peer, reason } => format!("{peer} TLS handshake failed: {reason}"),
    }
}

impl Report for ServeReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let url = paint.tone(Tone::Strong, &self.url);
        writeln!(
            out,
            "serving `{}` at {url} (listening on {})",
            self.folder.display(),
            self.address
        )?;
        writeln!(out, "  bench root {}", self.root_ca.display())?;
        writeln!(out, "  SHA-256 {}", self.root_sha256)?;
        writeln!(out, "  certificate ends {}", self.leaf_ends)?;
        writeln!(out, "new firmware for this bench:\n  {}", self.init)?;
        writeln!(out, "Ctrl-C stops")
    }
}
