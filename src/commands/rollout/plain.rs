//! `<chip>/firmware.bin` after a change of shares.
//!
//! It is looked at, whatever changes: a change that was interrupted may have left the copy of a
//! release that was halted.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::chip::Chip;
use crate::commands::Context;
use crate::release::plan::{Copy, Plan};
use crate::release::rules::{self, Release};
use crate::release::store::{Store, StoreError};

/// What becomes of one plain copy.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PlainCopy {
    pub(super) path: String,
    /// What it is a copy of then; `null`: it goes.
    pub(super) version: Option<String>,
}

/// Puts into `plan` what the plain copies of these chips need, and says so. `listed` is what is
/// listed then.
///
/// A copy of a release that is not in `channel` belongs to another one, and stays.
pub(super) async fn follow(
    context: &Context,
    store: &Store,
    listed: &[Release],
    (product, channel): (&str, &str),
    chips: &BTreeSet<Chip>,
    plan: &mut Plan,
) -> Result<Vec<PlainCopy>, StoreError> {
    plan.copies.clear();
    plan.obsolete.clear();
    let mut told = Vec::new();
    for chip in chips {
        let path = format!("{chip}/firmware.bin");
        let present = store.read(&path).await?.map(|bytes| Release::sha256_of(&bytes));
        let wanted = rules::newest_for_everyone(listed, (product, *chip), channel);
        let of_another_channel = listed.iter().any(|release| {
            Some(&release.sha256) == present.as_ref()
                && !release.custom.channels.iter().any(|name| name == channel)
        });
        let is_right = present.as_ref() == wanted.map(|wanted| &wanted.sha256);
        if is_right || of_another_channel {
            continue;
        }
        // Better no copy than that of a release that was halted.
        let sound = match wanted {
            Some(wanted) if !is_whole(store, wanted).await? => {
                let (image, version) = (wanted.image_path(), &wanted.custom.version);
                context.output.warn(format_args!(
                    "`{image}` is not the image of {version} that was signed: no copy is made of it"
                ));
                None
            }
            wanted => wanted,
        };
        match sound {
            Some(of) => plan.copies.push(Copy { path: path.clone(), of: of.clone() }),
            None if present.is_some() => plan.obsolete.push(path.clone()),
            None => continue,
        }
        told.push(PlainCopy { path, version: sound.map(|it| it.custom.version.clone()) });
    }
    Ok(told)
}

async fn is_whole(store: &Store, release: &Release) -> Result<bool, StoreError> {
    let image = store.read(&release.image_path()).await?;
    Ok(image.is_some_and(|image| Release::sha256_of(&image) == release.sha256))
}
