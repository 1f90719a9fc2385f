//! `keys export`: the public root that firmware embeds.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::commands::build::tuf_root;
use crate::commands::{Context, context};
use crate::config::Overrides;
use crate::error::{Exit, Failure};
use crate::output::{Format, Paint, Report};
use crate::release::keys::Role;
use crate::release::root;

/// Give out the public TUF root that firmware embeds: the newest one
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExportReport {
    version: u64,
    expires: String,
    sha256: String,
    file: Option<PathBuf>,
    /// The file itself, where it was written nowhere.
    root: Option<String>,
    roles: Vec<RoleKeys>,
}

#[derive(Debug, Serialize)]
struct RoleKeys {
    role: &'static str,
    threshold: u64,
    keys: Vec<String>,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let trusted = tuf_root(&project)?;
        let store = context.store(&project)?;
        let chain = context::runtime()?.block_on(root::chain(&store, &trusted))?;
        let newest = match chain.last() {
            Some(newest) => newest.clone(),
            None => root::read(&trusted)?,
        };
        if self.output.is_none() && context.output.format() == Format::Human {
            context.output.raw(&newest.bytes)?;
            return Ok(Exit::Success);
        }
        if let Some(file) = &self.output {
            context::write(file, &newest.bytes)?;
        }
        let roles = Role::ALL.map(|role| {
            let (threshold, keys) = newest.keys(role);
            RoleKeys { role: role.name(), threshold, keys }
        });
        let report = ExportReport {
            version: newest.version(),
            expires: newest.expires().to_string(),
            sha256: newest.sha256(),
            root: match self.output {
                None => Some(String::from_utf8_lossy(&newest.bytes).into_owned()),
                Some(_) => None,
            },
            file: self.output,
            roles: roles.into(),
        };
        context.output.answer(&report, Exit::Success)
    }
}

impl Report for ExportReport {
    fn human(&self, out: &mut dyn Write, _: Paint) -> io::Result<()> {
        match (&self.file, &self.root) {
            (Some(file), _) => writeln!(
                out,
                "root {}, good until {}, in `{}`",
                self.version,
                self.expires,
                file.display()
            ),
            (None, Some(root)) => write!(out, "{root}"),
            (None, None) => Ok(()),
        }
    }
}
