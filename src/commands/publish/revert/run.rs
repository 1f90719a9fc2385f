//! The command: from what was asked to what devices see.

use std::io::{self, Write};

use serde::Serialize;

use super::{Around, Revert, content};
use crate::commands::publish::preview::Preview;
use crate::commands::publish::{Delivery, Offer, PublishReport, Reading, load, outside};
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
    let mut offer = Offer { now, root, roots, releases: Vec::new(), keys };
    context::runtime()?.block_on(async {
        let store = context.store(project)?;
        let state = load(context, &store, &offer.root, now).await?;
        let roots = &offer.roots;
        let around = Around { project, store: &store, state: &state, roots, outside, now };
        offer.releases = content(&around, revert).await?;
        let plan = offer.plan(context, project, &state).await?;
        let (version, images) = (offer.version()?, offer.images(&state, &plan));
        if is_dry_run {
            let mut preview = Preview::of(project, &store, &state, &plan, outside).await?;
            preview.version = Some(version);
            preview.images = images;
            return context.output.answer(&preview, Exit::Success);
        }
        let (store, root, roots) = (&store, &offer.root, &offer.roots);
        let delivery = Delivery { context, project, store, root, roots, outside, now };
        let delivered = delivery.deliver(&state, &plan).await?;
        delivered.warn_of_agents(context);
        delivered.warn_of_gaps(context);
        let publish = PublishReport {
            dry_run: false,
            product: project.product.value.to_string(),
            channel: project.channel.value.to_string(),
            version,
            reproduced: None,
            published: !plan.is_published(),
            images,
            rehearsed_with_own_agent: delivered.is_with_own_agent(),
            delivered,
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
        };
        let report = RevertReport { content_of: revert.to.to_string(), publish };
        context.output.answer(&report, Exit::Success)
    })
}

impl Report for RevertReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { content_of, publish } = self;
        writeln!(out, "{} is {content_of} under a newer version", publish.version)?;
        publish.human(out, paint)
    }
}
