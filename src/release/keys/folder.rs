//! The folder of a product's signing keys: `<configuration>/keys/<product>/<role>.pem`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::supplied::KeyPlace;
use super::{KeyError, NewKeys, PublishKeys, Role, SigningKey, Supplied, git, pem};
use crate::disk::{self, Readers};
use crate::release::custom::is_plain_name;

/// An Ed25519 key in PEM has 119 bytes, an encrypted one some 400; the rest is room for comments.
pub(super) const LARGEST_KEY_FILE: u64 = 16 * 1024;
/// Digits of its id by which a key that was in use before is filed.
const RETIRED_DIGITS: usize = 16;

/// The signing keys of one product.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
}

/// What there is of a role's key.
#[derive(Debug)]
pub enum Held {
    /// The key.
    Here(SigningKey),
    /// Nothing.
    Absent,
    /// Something that gives no key: its passphrase is lost, or it is damaged.
    Unreadable(KeyError),
}

/// Where keys are after a new one was put into use.
#[derive(Debug)]
pub struct Adopted {
    /// The new key.
    pub file: PathBuf,
    /// What was in its place before.
    pub retired: Option<PathBuf>,
}

impl KeyFolder {
    /// Names the folder of a product below the user's configuration folder (see
    /// [`super::location::configuration_folder`]). Nothing is read or made.
    pub fn new(configuration: &Path, product: &str) -> Result<Self, KeyError> {
        if is_plain_name(product) {
            Ok(Self { path: configuration.join("keys").join(product) })
        } else {
            Err(KeyError::Product(product.to_owned()))
        }
    }

    /// A folder that the user names. Nothing is read or made.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a role's key.
    pub fn file(&self, role: Role) -> PathBuf {
        self.path.join(format!("{role}.pem"))
    }

    /// Makes a key for every role and writes each to its file, or writes none: an existing key is
    /// never overwritten. Where a passphrase is supplied, they are encrypted with it.
    pub fn create(&self, supplied: &Supplied) -> Result<NewKeys, KeyError> {
        let keys = NewKeys::generate()?;
        let mut files = Vec::new();
        for role in Role::ALL {
            let path = self.file(role);
            refuse_git(&path)?;
            if path.symlink_metadata().is_ok() {
                return Err(KeyError::Exists(path));
            }
            let text = pem::encode(keys.of(role), supplied.passphrase());
            files.push((path, text.map_err(KeyError::Encode)?));
        }

        create_private_folder(&self.path)
            .map_err(|source| KeyError::Write { path: self.path.clone(), source })?;
        let mut written: Vec<&PathBuf> = Vec::new();
        for (path, text) in &files {
            if let Err(source) = disk::create_new(path, text.as_ref(), Readers::Owner) {
                // Half a set is of no use and would be in the way of the next attempt.
                for earlier in written {
                    let _ = fs::remove_file(earlier);
                }
                return Err(match source.kind() {
                    io::ErrorKind::AlreadyExists => KeyError::Exists(path.clone()),
                    _ => KeyError::Write { path: path.clone(), source },
                });
            }
            written.push(path);
        }
        Ok(keys)
    }

    /// Loads the keys a publish needs.
    pub fn load_for_publish(&self, supplied: &Supplied) -> Result<PublishKeys, KeyError> {
        Ok(PublishKeys {
            targets: self.load(Role::Targets, supplied)?,
            snapshot: self.load(Role::Snapshot, supplied)?,
            timestamp: self.load(Role::Timestamp, supplied)?,
        })
    }

    /// The file of a key that a rotation made and did not put into use yet.
    pub fn next_file(&self, role: Role) -> PathBuf {
        self.path.join(format!("{role}.next.pem"))
    }

    /// The file of a key that was in use before, by its id.
    pub fn retired_file(&self, role: Role, id: &str) -> PathBuf {
        let short = id.get(..RETIRED_DIGITS).unwrap_or(id);
        self.path.join(format!("{role}.{short}.pem"))
    }

    /// The key that an interrupted rotation left, if one did.
    pub fn next(&self, role: Role, supplied: &Supplied) -> Result<Option<SigningKey>, KeyError> {
        self.optional(role, &self.next_file(role), supplied)
    }

    /// The key of a role, if it is at hand. One that others could read, or git, is no key to go on
    /// with and an error.
    pub fn held(&self, role: Role, supplied: &Supplied) -> Result<Held, KeyError> {
        match self.load(role, supplied) {
            Ok(key) => Ok(Held::Here(key)),
            Err(KeyError::Missing { .. }) => Ok(Held::Absent),
            Err(error @ (KeyError::Unusable { .. } | KeyError::Read { .. })) => {
                Ok(Held::Unreadable(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses to follow an encrypted key of a role by a plain one.
    pub fn refuse_weaker(&self, role: Role, supplied: &Supplied) -> Result<(), KeyError> {
        if supplied.passphrase().is_some() {
            return Ok(());
        }
        let file = self.file(role);
        let (text, place) = match supplied.key(role) {
            Some((text, place)) => (text.to_owned(), place.to_owned()),
            // What cannot be read as text is not encrypted, and another function's affair.
            None => (read(role, &file).unwrap_or_default(), file.display().to_string()),
        };
        if pem::is_encrypted(&text) { Err(KeyError::Weaker { role, place }) } else { Ok(()) }
    }

    fn optional(
        &self,
        role: Role,
        path: &Path,
        supplied: &Supplied,
    ) -> Result<Option<SigningKey>, KeyError> {
        match load_file(role, path, supplied) {
            Err(KeyError::Missing { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Keeps a new key until it is in use: without it a root that names it would be worthless.
    /// It is no weaker than the one before.
    pub fn keep_next(
        &self,
        role: Role,
        key: &SigningKey,
        supplied: &Supplied,
    ) -> Result<(), KeyError> {
        self.refuse_weaker(role, supplied)?;
        let path = self.next_file(role);
        refuse_git(&path)?;
        let text = pem::encode(key, supplied.passphrase()).map_err(KeyError::Encode)?;
        create_private_folder(&self.path)
            .map_err(|source| KeyError::Write { path: self.path.clone(), source })?;
        disk::create_new(&path, text.as_ref(), Readers::Owner)
            .map_err(|source| KeyError::Write { path, source })
    }

    /// Puts a new key into use. What was in its place is kept beside it, also if it cannot be read;
    /// where that is one of the keys that stay, it keeps its place, and the new one lies beside it.
    pub fn adopt_next(
        &self,
        role: Role,
        supplied: &Supplied,
        staying: &[String],
    ) -> Result<Adopted, KeyError> {
        let (file, next) = (self.file(role), self.next_file(role));
        let moved = |from: &Path, to: &Path| {
            disk::rename(from, to).map_err(|source| KeyError::Write { path: to.to_owned(), source })
        };
        let before = match load_file(role, &file, supplied) {
            Ok(key) => Some(Some(key.id()?)),
            Err(KeyError::Missing { .. }) => None,
            Err(_) => Some(None),
        };
        let retired = match before {
            Some(Some(id)) if staying.contains(&id) => {
                let id = load_file(role, &next, supplied)?.id()?;
                let beside = self.retired_file(role, &id);
                moved(&next, &beside)?;
                return Ok(Adopted { file: beside, retired: None });
            }
            Some(Some(id)) => Some(self.retired_file(role, &id)),
            Some(None) => Some(self.unread_file(role)),
            None => None,
        };
        if let Some(retired) = &retired {
            moved(&file, retired)?;
        }
        moved(&next, &file)?;
        Ok(Adopted { file, retired })
    }

    /// A free name for a file that may be a key and cannot be read.
    fn unread_file(&self, role: Role) -> PathBuf {
        let name = |number: u32| self.path.join(format!("{role}.unreadable-{number}.pem"));
        let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
        (1..u32::MAX).map(name).find(is_free).unwrap_or_else(|| name(u32::MAX))
    }

    /// Loads a key that the command line names, as strictly as the role's own.
    pub fn load_at(
        role: Role,
        place: &KeyPlace,
        supplied: &Supplied,
        input: impl Read,
    ) -> Result<SigningKey, KeyError> {
        decode(&place.text(role, input)?, place.to_string(), supplied)
    }

    /// Loads a key from any file, as strictly as the role's own.
    pub fn load_from(role: Role, path: &Path, supplied: &Supplied) -> Result<SigningKey, KeyError> {
        load_file(role, path, supplied)
    }

    /// Every key file in the folder, in the order of their names.
    pub fn files(&self) -> Result<Vec<PathBuf>, KeyError> {
        let failed = |source| KeyError::Read { path: self.path.clone(), source };
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension() == Some("pem".as_ref()) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Loads one key: the supplied one if there is one, else the file.
    pub fn load(&self, role: Role, supplied: &Supplied) -> Result<SigningKey, KeyError> {
        match supplied.key(role) {
            Some((text, place)) => decode(text, place.to_owned(), supplied),
            None => load_file(role, &self.file(role), supplied),
        }
    }
}

fn load_file(role: Role, path: &Path, supplied: &Supplied) -> Result<SigningKey, KeyError> {
    decode(&read(role, path)?, path.display().to_string(), supplied)
}

fn decode(text: &str, place: String, supplied: &Supplied) -> Result<SigningKey, KeyError> {
    pem::decode(text, supplied.passphrase())
        .map_err(|source| KeyError::Unusable { place, source: source.into() })
}

pub(super) fn read(role: Role, path: &Path) -> Result<String, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyError::Missing { role, path: path.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    refuse_open_file(path, &file)?;
    refuse_git(path)?;
    let bytes = disk::read_bounded(file, LARGEST_KEY_FILE).map_err(failed)?;
    String::from_utf8(bytes)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
}

fn refuse_git(path: &Path) -> Result<(), KeyError> {
    match git::exposing_work_tree(path) {
        Some(tree) => Err(KeyError::InGit { path: path.to_owned(), tree }),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn refuse_open_file(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        file.metadata().map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyError::OpenToOthers { path: path.to_owned(), mode })
    }
}

#[cfg(not(unix))]
fn refuse_open_file(_: &Path, _: &File) -> Result<(), KeyError> {
    // The user's profile folder is closed to others by its access control list.
    Ok(())
}

fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Exit, Explained};

    fn folder(base: &Path) -> KeyFolder {
        KeyFolder::new(base, "thermostat").unwrap()
    }

    #[test]
    fn new_keys_are_read_back() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        let keys = folder.create(&Supplied::default()).unwrap();
        for role in Role::ALL {
            let read = folder.load(role, &Supplied::default()).unwrap();
            assert_eq!(read.public(), keys.of(role).public());
        }
        let publish = folder.load_for_publish(&Supplied::default()).unwrap();
        assert_eq!(publish.targets.public(), keys.publish.targets.public());
    }

    #[test]
    fn an_existing_key_is_never_overwritten_and_nothing_else_is_written() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        fs::create_dir_all(folder.path()).unwrap();
        fs::write(folder.file(Role::Timestamp), "precious").unwrap();
        let error = folder.create(&Supplied::default()).unwrap_err();
        assert!(matches!(error, KeyError::Exists(_)));
        assert_eq!(error.exit(), Exit::Rejected);
        assert_eq!(fs::read_to_string(folder.file(Role::Timestamp)).unwrap(), "precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_key_exits_3_and_names_the_variable_it_may_come_from() {
        let base = tempfile::tempdir().unwrap();
        let error = folder(base.path()).load_for_publish(&Supplied::default()).unwrap_err();
        assert!(matches!(error, KeyError::Missing { role: Role::Targets, .. }));
        assert_eq!(error.exit(), Exit::Project);
        assert!(error.help().unwrap().contains("`ESP_OTA_KEY_TARGETS`"));
    }

    #[test]
    fn a_supplied_key_comes_before_the_file_and_an_empty_one_counts_as_unset() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        let keys = folder.create(&Supplied::default()).unwrap();
        let other = fs::read_to_string(folder.file(Role::Root)).unwrap();
        let supplied = Supplied::from_environment(|name| match name {
            "ESP_OTA_KEY_TARGETS" => Some(other.clone()),
            "ESP_OTA_KEY_SNAPSHOT" => Some(String::new()),
            _ => None,
        });
        let loaded = folder.load_for_publish(&supplied).unwrap();
        assert_eq!(loaded.targets.public(), keys.root.public());
        assert_eq!(loaded.snapshot.public(), keys.publish.snapshot.public());
    }

    #[test]
    fn a_broken_key_is_named_by_its_place() {
        let base = tempfile::tempdir().unwrap();
        let supplied = Supplied::from_environment(|name| {
            (name == "ESP_OTA_KEY_TARGETS").then(|| "not a key".to_owned())
        });
        let error = folder(base.path()).load(Role::Targets, &supplied).unwrap_err();
        assert_eq!(error.to_string(), "cannot use the signing key in `ESP_OTA_KEY_TARGETS`");
        assert_eq!(error.exit(), Exit::Project);
    }

    #[test]
    fn a_product_that_leaves_the_folder_is_refused() {
        let error = KeyFolder::new(Path::new("/c"), "../other").unwrap_err();
        assert!(matches!(error, KeyError::Product(_)));
    }

    #[test]
    fn no_key_is_made_or_read_in_a_git_work_tree() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        fs::create_dir(base.path().join(".git")).unwrap();
        let error = folder.create(&Supplied::default()).unwrap_err();
        assert!(matches!(error, KeyError::InGit { .. }));
        assert_eq!(error.exit(), Exit::Rejected);
        assert!(!folder.path().exists());

        fs::remove_dir(base.path().join(".git")).unwrap();
        folder.create(&Supplied::default()).unwrap();
        fs::create_dir(base.path().join(".git")).unwrap();
        let error = folder.load(Role::Root, &Supplied::default()).unwrap_err();
        assert!(matches!(error, KeyError::InGit { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        folder.create(&Supplied::default()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        let file = folder.file(Role::Targets);
        assert_eq!(mode(&file), 0o600);

        for open in [0o640, 0o604, 0o660] {
            fs::set_permissions(&file, fs::Permissions::from_mode(open)).unwrap();
            let error = folder.load(Role::Targets, &Supplied::default()).unwrap_err();
            assert!(matches!(error, KeyError::OpenToOthers { mode, .. } if mode == open));
            assert!(error.help().unwrap().contains("chmod 600"));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(folder.load(Role::Targets, &Supplied::default()).is_ok());
    }
}
