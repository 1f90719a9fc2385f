//! USB devices that somebody chose as a board: remembered, so that nobody is asked twice.

use std::path::PathBuf;

use crate::commands::{Context, context};
use crate::device::serial::UsbId;
use crate::error::Failure;

/// Some hundred boards.
const LARGEST_FILE: u64 = 16 * 1024;

fn file(context: &Context) -> Result<PathBuf, Failure> {
    Ok(context.configuration_folder()?.join("boards"))
}

/// The ids that were chosen before, one in a line; what is none is passed over.
pub(super) fn remembered(context: &Context) -> Vec<UsbId> {
    let bytes = file(context).ok().and_then(|file| context::read(&file, LARGEST_FILE).ok());
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    text.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Remembers a choice.
pub(super) fn remember(context: &Context, id: UsbId) -> Result<(), Failure> {
    let mut ids = remembered(context);
    if ids.contains(&id) {
        return Ok(());
    }
    ids.push(id);
    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let file = file(context)?;
    context::write(&file, text.as_bytes())?;
    context.output.status(format_args!("`{}` remembers it", file.display()));
    Ok(())
}
