//! The agent's TUF client behind the protocol of the TUF project's conformance suite
//! (theupdateframework/tuf-conformance, CLIENT-CLI.md).
//!
//! What is here only carries bytes: every decision is `agent::tuf`'s, with the caps that devices
//! have but for one. The suite looks into a folder for the metadata that is trusted, which a device does not
//! keep; `folder` writes it down as the agent comes to trust it.

mod artifact;
mod folder;
mod repository;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use cargo_esp_ota::agent::clock::Clock;
use cargo_esp_ota::agent::tuf::{Caps, Trusted, refresh};
use clap::{Parser, Subcommand};

use crate::folder::Folder;
use crate::repository::Repository;

/// Largest root, in bytes: the one cap that is not a device's. A case rotates a role of five P-256
/// keys to five others, indented: 7572 bytes, where devices take 7168 (compact it would be 6733).
const LARGEST_ROOT: usize = 8 * 1024;

#[derive(Parser)]
struct Arguments {
    /// Where trusted metadata is kept.
    #[arg(long)]
    metadata_dir: PathBuf,
    /// Where metadata is published.
    #[arg(long, default_value = "")]
    metadata_url: String,
    /// A target to download; may be repeated.
    #[arg(long)]
    target_name: Vec<String>,
    /// Where targets are published.
    #[arg(long, default_value = "")]
    target_base_url: String,
    /// Where downloaded targets are kept.
    #[arg(long, default_value = ".")]
    target_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts with a trusted root.
    Init {
        /// The root that firmware would embed.
        root: PathBuf,
    },
    /// Brings metadata up to date.
    Refresh,
    /// Brings metadata up to date and downloads targets.
    Download,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut folder = Folder::new(&arguments.metadata_dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &arguments.command {
        Command::Init { root } => folder.init(&std::fs::read(root)?)?,
        Command::Refresh => {
            runtime.block_on(refreshed(&mut folder, &arguments.metadata_url))?;
        }
        Command::Download => runtime.block_on(async {
            let trusted = refreshed(&mut folder, &arguments.metadata_url).await?;
            for name in &arguments.target_name {
                artifact::fetch(&trusted, name, &arguments.target_base_url, &arguments.target_dir)
                    .await?;
            }
            Ok::<(), Box<dyn Error>>(())
        })?,
    }
    Ok(())
}

async fn refreshed(folder: &mut Folder, url: &str) -> Result<Trusted, Box<dyn Error>> {
    let embedded = folder.embedded_root()?;
    let mut repository = Repository::new(url, folder.clone())?;
    // The suite sets the time of this process with `faketime`.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut clock = Clock::new(0, Some(now));
    let caps = Caps { root: LARGEST_ROOT, ..Caps::default() };
    let trusted = refresh(&mut repository, folder, &embedded, &mut clock, &caps)
        .await
        .map_err(|error| format!("{}: {error}", error.code()))?;
    folder.keep_targets(&trusted.targets)?;
    Ok(trusted)
}
