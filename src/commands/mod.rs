//! One file per command: gather, decide, report.

pub mod build;
pub mod ca;
pub mod check;
pub mod completions;
mod context;
pub mod demo;
pub mod flash;
pub mod init;
pub mod inspect;
pub mod keys;
pub mod monitor;
pub mod partitions;
mod port;
pub mod publish;
pub mod rehearse;
pub mod rollout;
pub mod serve;
pub mod slots;
mod stamp;
mod stop;
pub mod virtual_device;

pub use context::{Context, ContextError};
pub use stamp::StampError;

use std::path::{Path, PathBuf};

use crate::agent;
use crate::config::Project;
use crate::error::Failure;

/// Bytes of one file of the agent: the longest of ours has 15 KB.
const LARGEST_AGENT_FILE: u64 = 1024 * 1024;

/// Files in a sentence: each in backticks, with commas between.
fn file_list(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| format!("`{}`", file.display())).collect();
    files.join(", ")
}

/// The digest of the agent that a project has in `src/ota`, if it has one.
fn project_agent(project: &Project) -> Result<Option<String>, Failure> {
    let folder = project.path(Path::new("src/ota"));
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        let failed = |source| ContextError::Input { file: next.clone(), source };
        for entry in std::fs::read_dir(&next).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            // Links are not followed: they could lead round in circles.
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                let name = path.strip_prefix(&folder).unwrap_or(&path).to_string_lossy();
                let bytes = context::read(&path, LARGEST_AGENT_FILE)?;
                files.push((name.replace('\\', "/"), bytes));
            }
        }
    }
    Ok(Some(agent::digest_of(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))))
}
