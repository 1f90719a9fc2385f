//! The command: from what was asked to what devices see.

use std::io::{self, Write};

use serde::Serialize;

use super::{Around, Revert, content};
use crate::commands::publish::{self, Carried, Offer, PublishReport, Reading, load, outside};
use crate::commands::{Context, build, ca, context};
use crate::config::Project;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report};
use crate::release::keys::{KeyFolder, Supplied};

/// What a revert did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RevertReport {
    /// The version whose content was published.
    content_of: String,
    #[serde(flatten)]
    publish: PublishReport,
}

/// Publishes the content of an older release again.
pub(in crate::commands::publish) fn run(
    context: &Context,
    project: &Project,
    revert: &Revert<'_>,
    (folder, supplied): (KeyFolder, Supplied),
    reading: Reading,
    is_dry_run: bool,
) -> Result<Exit, Failure> {
    let now = context.now();
    let root = build::tuf_root(project)?;
    // What the source embeds now is not what the old image does.
    let roots = ca::project_roots(project, now)?;
    let keys = folder.load_for_publish(&supplied)?;
    let outside = outside(project, reading)?;
    let mut offer = Offer { now, root, roots, releases: Vec::new(), keys, is_drifted: false };
    context::runtime()?.block_on(async {
        let store = context.store(project)?;
        let state = load(context, &store, &offer.root, now).await?;
        let roots = &offer.roots;
        let around = Around { project, store: &store, state: &state, roots, outside, now };
        offer.releases = content(&around, revert).await?;
        let around = publish::Around { context, project, store: &store, state: &state, outside };
        match offer.carry_out(&around, is_dry_run).await? {
            Carried::Previewed(preview) => context.output.answer(&preview, Exit::Success),
            Carried::Published(publish) => {
                let report = RevertReport { content_of: revert.to.to_string(), publish };
                context.output.answer(&report, Exit::Success)
            }
        }
    })
}

impl Report for RevertReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { content_of, publish } = self;
        writeln!(out, "{} is {content_of} under a newer version", publish.version)?;
        publish.human(out, paint)
    }
}
