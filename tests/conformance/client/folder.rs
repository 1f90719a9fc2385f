//! A device's memory as a folder, with copies of the metadata it trusts for the suite to look at.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cargo_esp_ota::agent::ports::{Store, StoreError};
use cargo_esp_ota::agent::tuf::{ROOT_KEY, Role, STATE_KEY, Targets};

/// What firmware embeds. Without `.json`, because those are what the suite takes for trusted.
const EMBEDDED: &str = "embedded_root";

/// Metadata that was received, and may not be trusted.
type Received = (Role, Vec<u8>);

/// The folder. Clones are the same folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The metadata that was received last.
    received: Rc<RefCell<Option<Received>>>,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), received: Rc::default() }
    }

    /// Keeps the root to start from.
    pub(crate) fn init(&self, root: &[u8]) -> io::Result<()> {
        fs::write(self.path.join(EMBEDDED), root)?;
        fs::write(self.copy_of(Role::Root), root)
    }

    pub(crate) fn embedded_root(&self) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(EMBEDDED))
    }

    /// The file that is trusted for a role.
    pub(crate) fn trusted(&self, role: Role) -> Option<Vec<u8>> {
        fs::read(self.copy_of(role)).ok()
    }

    /// Notes that metadata of `role` comes now.
    pub(crate) fn begin(&self, role: Role) {
        *self.received.borrow_mut() = Some((role, Vec::new()));
    }

    /// Notes what came. It becomes trusted when the agent next remembers something.
    pub(crate) fn append(&self, bytes: &[u8]) {
        if let Some((_, file)) = &mut *self.received.borrow_mut() {
            file.extend_from_slice(bytes);
        }
    }

    pub(crate) fn keep_targets(&self, targets: &Targets) -> io::Result<()> {
        fs::write(self.copy_of(Role::Targets), targets.document())
    }

    fn copy_of(&self, role: Role) -> PathBuf {
        self.path.join(format!("{role}.json"))
    }

    fn file(&self, key: &str) -> PathBuf {
        if key == ROOT_KEY { self.copy_of(Role::Root) } else { self.path.join(key) }
    }

    fn put(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let changed = fs::read(self.file(key)).ok().as_deref() != Some(value);
        fs::write(self.file(key), value)?;
        // The agent remembers what it has proven before it asks for anything else. A timestamp that
        // changes nothing was one of the same version, which is not to replace the trusted one
        // (TUF specification, 5.4.3.1).
        if key == STATE_KEY
            && let Some((role, file)) = &*self.received.borrow()
            && (changed || *role != Role::Timestamp)
        {
            fs::write(self.copy_of(*role), file)?;
        }
        Ok(())
    }
}

impl Store for Folder {
    fn get(&mut self, key: &str, buf: &mut [u8]) -> Result<Option<usize>, StoreError> {
        let value = match fs::read(self.file(key)) {
            Ok(value) => value,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Err(StoreError),
        };
        buf.get_mut(..value.len()).ok_or(StoreError)?.copy_from_slice(&value);
        Ok(Some(value.len()))
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.put(key, value).map_err(|_| StoreError)
    }
}
