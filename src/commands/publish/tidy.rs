//! After a promotion: images that are listed no longer go from `targets/` to `archive/`.
//!
//! A device that read the metadata a moment ago still gets its image: a file goes only once two
//! timestamps in a row do not list it. What is archived can be the base of a later delta.

use super::deliver::Delivery;
use crate::release::plan::{Existing, LIVE_TIMESTAMP, Plan, Upload};
use crate::release::repository::State;
use crate::release::rules::Release;
use crate::release::store::StoreError;

/// Where images are that no metadata lists.
const ARCHIVE: &str = "archive/";

/// What is neither listed by `before` nor by a plan that changes something, and may still be there.
pub(super) fn leftovers<'a>(before: &'a State, plan: &'a Plan) -> impl Iterator<Item = &'a String> {
    let is_listed = |path: &String| plan.releases.iter().any(|it| it.image_path() == *path);
    before.withdrawn().iter().filter(move |path| !plan.is_published() && !is_listed(path))
}

impl Delivery<'_> {
    /// Archives what neither `before` nor the promoted plan lists, and says which.
    ///
    /// Nothing of this is worth a failure: the release is published, and the next one tries again.
    pub(super) async fn tidy(&self, before: &State, plan: &Plan) -> Vec<String> {
        let mut archived = Vec::new();
        for path in leftovers(before, plan) {
            match self.archive(path, plan).await {
                Ok(Some(place)) => archived.push(place),
                Ok(None) => {}
                Err(error) => self.context.output.warn(format_args!(
                    "it is published, but `{path}`, which is listed no longer, could not be moved to \
                     `{ARCHIVE}` ({error}): the next publish tries again"
                )),
            }
        }
        archived
    }

    async fn archive(&self, path: &str, plan: &Plan) -> Result<Option<String>, StoreError> {
        let Some(image) = self.store.read(path).await? else { return Ok(None) };
        let name = path.rsplit('/').next().unwrap_or(path);
        let place = format!("{ARCHIVE}{name}");
        let is_whole = name.starts_with(&Release::sha256_of(&image));
        if is_whole {
            let existing = Existing::Repair;
            self.store.upload(&Upload { path: place.clone(), bytes: image, existing }).await?;
        } else {
            self.context.output.warn(format_args!(
                "`{path}`, which is listed no longer, is not the image that was signed: it goes, and \
                 is not archived"
            ));
        }
        // Who has published since may list it again.
        if self.store.read(LIVE_TIMESTAMP).await? != plan.timestamp {
            return Ok(None);
        }
        self.store.remove(path).await?;
        Ok(is_whole.then_some(place))
    }
}
