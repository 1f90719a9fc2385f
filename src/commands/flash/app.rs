//! The app image: built now, made of an ELF file, or at hand.

use std::path::Path;

use super::{Flash, FlashError};
use crate::commands::{Context, build, context, inspect};
use crate::config::Project;
use crate::device::Known;
use crate::error::Failure;
use crate::image::inspect::{MOST_BYTES, Unfit, app_image};

/// An image that boots, as far as can be told without the device.
#[derive(Debug)]
pub(super) struct App {
    pub(super) bytes: Vec<u8>,
    pub(super) known: Known,
}

impl App {
    /// Whatever the command line says.
    pub(super) fn of(context: &Context, project: &Project, flash: &Flash) -> Result<Self, Failure> {
        match &flash.app {
            Some(file) => Self::read(project, file),
            None => {
                let (elf, arguments) = (flash.elf.as_deref(), &flash.cargo_arguments);
                let built = build::build(context, project, elf, None, arguments)?;
                Self::new(built.image, &built.file)
            }
        }
    }

    fn read(project: &Project, file: &Path) -> Result<Self, Failure> {
        let bytes = context::read(file, MOST_BYTES)?;
        match app_image(&bytes, &inspect::expected(project)?) {
            // Whether the signature is good is judged where a device asks for one.
            Ok(_) | Err(Unfit::Signed { .. }) => Self::new(bytes, file),
            Err(source) => Err(FlashError::Unfit { file: file.to_owned(), source }.into()),
        }
    }

    fn new(bytes: Vec<u8>, file: &Path) -> Result<Self, Failure> {
        let name = format!("`{}`", file.display());
        match Known::new(name, &bytes) {
            Some(known) => Ok(Self { bytes, known }),
            None => Err(FlashError::NoImage(file.to_owned()).into()),
        }
    }
}
