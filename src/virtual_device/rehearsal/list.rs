//! The releases of a repository, by the word of the device's own client.

use std::collections::BTreeMap;

use super::{RehearsalError, Source};
use crate::agent::clock::Clock;
use crate::agent::ports::{Store, StoreError};
use crate::agent::tuf::{self, Caps};
use crate::release::listing;
use crate::release::rules::Release;
use crate::trust::PinnedRoot;

/// Everything that the metadata lists, verified from the TUF root of a firmware, built at
/// `build_time` in Unix seconds, by a client without any memory, over TLS that trusts `roots` alone.
pub async fn published(
    source: &Source<'_>,
    root: &[u8],
    build_time: u64,
    roots: &[PinnedRoot],
) -> Result<Vec<Release>, RehearsalError> {
    let mut wire = source.open(roots)?;
    let mut clock = Clock::new(build_time, None);
    let mut memory = Memory::default();
    match tuf::refresh(&mut wire, &mut memory, root, &mut clock, &Caps::default()).await {
        Ok(trusted) => Ok(listing::read(trusted.targets.document())?),
        Err(error) => Err(RehearsalError::refused(error.into(), wire)),
    }
}

/// One file, over TLS that trusts `roots` alone: at most `limit` bytes and one more, or the status
/// of another answer than 200.
pub async fn file(
    source: &Source<'_>,
    roots: &[PinnedRoot],
    path: &str,
    limit: usize,
) -> Result<Result<Vec<u8>, u16>, RehearsalError> {
    let mut wire = source.open(roots)?;
    match wire.whole(path, limit).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(RehearsalError::transport(error, wire)),
    }
}

/// What a client remembers until it is gone.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn get(&mut self, key: &str, buf: &mut [u8]) -> Result<Option<usize>, StoreError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        buf.get_mut(..value.len()).ok_or(StoreError)?.copy_from_slice(value);
        Ok(Some(value.len()))
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.is_empty() {
            self.0.remove(key);
        } else {
            self.0.insert(key.to_owned(), value.to_vec());
        }
        Ok(())
    }
}
