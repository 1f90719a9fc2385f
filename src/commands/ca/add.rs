//! `ca add`: pins the root that a live server leads to, or the roots of a file.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::confirm::confirm;
use super::settings::{From, pin};
use super::sources::{project_roots, stale_sources, write_sources};
use super::{CaError, Context, RootReport};
use crate::commands::file_list;
use crate::config::Overrides;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::trust::{Candidates, Endpoint, Found, PinnedRoot, anchor, root};

/// Pin the root that an https host leads to, or the roots of a PEM file
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// URL of a server, whose root is looked up; or a PEM file with root certificates
    #[arg(value_name = "URL|FILE")]
    source: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Pin only the certificate with this SHA-256 fingerprint; asks no more
    #[arg(long, value_name = "HEX", conflicts_with = "yes", value_parser = fingerprint)]
    sha256: Option<String>,
    /// For a URL: pin another root that anchors the same chain as well, where there is one
    #[arg(long, conflicts_with = "sha256")]
    spare: bool,
    /// For a URL: PEM file to look the root up in [default: the roots that Mozilla trusts]
    #[arg(long, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// For a URL: connect here, whatever the name resolves to; the server still has to prove its
    /// name
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect: Option<SocketAddr>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct AddReport {
    added: Vec<RootReport>,
    /// What was asked for and is pinned.
    already: Vec<RootReport>,
    files: Vec<PathBuf>,
    pinned: usize,
    generated: Vec<PathBuf>,
    server: Option<ServerReport>,
}

/// The live chain that a root was found by.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ServerReport {
    host: String,
    /// Subjects, the server's own first.
    chain: Vec<String>,
    /// Proven as well, and not pinned.
    spares: Vec<RootReport>,
    #[serde(skip)]
    url: String,
}

/// What there is to pin.
struct Offer {
    roots: Vec<PinnedRoot>,
    found: Option<Found>,
}

impl Add {
    /// Gathers, asks, and writes.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let now = context.now();
        let endpoint = self.endpoint()?;
        let offer = match &endpoint {
            Some(endpoint) => self.offer_of(endpoint, context)?,
            None => Offer { roots: root::read(&self.source, now)?, found: None },
        };
        let offered = offer.roots.len();
        let chosen = self.chosen(offer.roots)?;
        let pinned = project_roots(&project, now)?;
        let (already, new): (Vec<_>, Vec<_>) = chosen
            .into_iter()
            .partition(|root| pinned.iter().any(|it| it.fingerprint() == root.fingerprint()));
        if !new.is_empty() && !self.yes && self.sha256.is_none() {
            confirm(&new)?;
        }
        let all: Vec<PinnedRoot> = pinned.into_iter().chain(new.iter().cloned()).collect();
        // Whatever cannot be generated is refused while nothing is written yet.
        stale_sources(&project, &all)?;
        let files = if new.is_empty() {
            Vec::new()
        } else if endpoint.is_some() {
            pin(&project, None, &new)?
        } else {
            let from = From { file: &self.source, is_whole: new.len() == offered };
            pin(&project, Some(&from), &new)?
        };
        let generated = write_sources(&project, &all)?;
        let server = endpoint.zip(offer.found).map(|(endpoint, found)| {
            let spares = found.spares.iter().filter(|spare| !all.contains(spare));
            ServerReport {
                host: endpoint.to_string(),
                chain: found.chain.links().iter().map(|link| link.subject.clone()).collect(),
                spares: spares.map(RootReport::new).collect(),
                url: self.source.display().to_string(),
            }
        });
        let added = new.iter().map(RootReport::new).collect();
        let already = already.iter().map(RootReport::new).collect();
        let report = AddReport { added, already, files, pinned: all.len(), generated, server };
        context.output.answer(&report, Exit::Success)
    }

    /// The server, where the source is a URL and no file.
    fn endpoint(&self) -> Result<Option<Endpoint>, Failure> {
        match self.source.to_str() {
            Some(text) if text.contains("://") => {
                Ok(Some(Endpoint::from_url(text)?.at(self.connect)))
            }
            _ if self.candidates.is_some() => Err(CaError::OnlyForUrl("--candidates").into()),
            _ if self.connect.is_some() => Err(CaError::OnlyForUrl("--connect").into()),
            _ if self.spare => Err(CaError::OnlyForUrl("--spare").into()),
            _ => Ok(None),
        }
    }

    fn offer_of(&self, endpoint: &Endpoint, context: &Context) -> Result<Offer, Failure> {
        let candidates = match &self.candidates {
            Some(file) => Candidates::read(file)?,
            None => Candidates::mozilla(),
        };
        context.output.status(format_args!("asking {endpoint} for its certificates"));
        let found = anchor::find(endpoint, &candidates, context.now())?;
        // A fingerprint may choose any of them; else the best one is proposed, and one spare.
        let most = match (&self.sha256, self.spare) {
            (Some(_), _) => usize::MAX,
            (None, true) => 2,
            (None, false) => 1,
        };
        let roots = std::iter::once(&found.root).chain(&found.spares).take(most).cloned().collect();
        Ok(Offer { roots, found: Some(found) })
    }

    /// Those with the fingerprint, where one is given; at least one.
    fn chosen(&self, mut roots: Vec<PinnedRoot>) -> Result<Vec<PinnedRoot>, CaError> {
        let Some(expected) = &self.sha256 else { return Ok(roots) };
        let found: Vec<String> = roots.iter().map(PinnedRoot::fingerprint_hex).collect();
        roots.retain(|root| root.fingerprint_hex() == *expected);
        if roots.is_empty() {
            let (from, expected) = (self.source.clone(), expected.clone());
            return Err(CaError::Fingerprint { from, expected, found: found.join(", ") });
        }
        Ok(roots)
    }
}

/// A SHA-256 as browsers, authorities and openssl print it.
fn fingerprint(text: &str) -> Result<String, &'static str> {
    const DIGITS: usize = 64;
    let digits = text.to_ascii_lowercase().replace(':', "");
    if digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(digits)
    } else {
        Err("a SHA-256 has 64 hexadecimal digits, with or without colons between them")
    }
}

impl Report for AddReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        if let Some(server) = &self.server {
            writeln!(out, "{} shows {}", server.host, server.chain.join(" < "))?;
        }
        for root in &self.added {
            writeln!(out, "pinned {}", paint.tone(Tone::Strong, &root.subject))?;
            writeln!(out, "  SHA-256 {}", root.sha256)?;
            writeln!(out, "  {}, ends {}", root.key, root.not_after)?;
        }
        for root in &self.already {
            writeln!(out, "pinned already, nothing to do: {}", root.subject)?;
            writeln!(out, "  SHA-256 {}", root.sha256)?;
        }
        writeln!(out, "{} pinned in all, in {}", self.pinned, file_list(&self.generated))?;
        let Some(server) = &self.server else { return Ok(()) };
        for spare in &server.spares {
            writeln!(out, "a spare that anchors the same chain: {}", spare.subject)?;
            writeln!(out, "  cargo esp-ota ca add {} --sha256 {}", server.url, spare.sha256)?;
        }
        if self.pinned == 1 && server.spares.is_empty() {
            writeln!(
                out,
                "a second root is wanted, and no other one anchors this chain: pin the one that the \
                 authority issues from next, or that of another authority, with `cargo esp-ota ca \
                 add FILE`"
            )?;
        }
        Ok(())
    }
}
