//! Keys that come from elsewhere than their folder: the environment, a file named on the command
//! line, standard input.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{KeyError, Role, folder};
use crate::disk;

/// Keys and passphrase that were handed over, as CI does.
#[derive(Clone, Default)]
pub struct Supplied {
    keys: BTreeMap<Role, Given>,
    passphrase: Option<String>,
}

/// The text of a key, and where it came from.
#[derive(Clone)]
struct Given {
    text: String,
    place: String,
}

/// Where a key lies that is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// A file.
    File(PathBuf),
    /// Standard input: `-`.
    Input,
}

/// A key named on the command line: `ROLE=FILE`, or `ROLE=-` for standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyArgument {
    /// What it signs.
    pub role: Role,
    /// Where it is.
    pub place: KeyPlace,
}

impl Supplied {
    /// Collects what the environment holds; `variable` looks up one variable. An empty value
    /// counts as unset, which is what CI systems give for a secret that does not exist.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let given = |role: Role| {
            let place = role.variable().to_owned();
            Some((role, Given { text: value(&place)?, place }))
        };
        Self {
            keys: Role::ALL.into_iter().filter_map(given).collect(),
            passphrase: value("ESP_OTA_KEY_PASSPHRASE"),
        }
    }

    /// The same with the keys that the command line names, which come before all others. `input`
    /// is standard input; it is read where an argument says so.
    ///
    /// # Errors
    ///
    /// Where a file or standard input cannot be read, as strictly as the files of the folder.
    pub fn with_arguments(
        mut self,
        arguments: &[KeyArgument],
        mut input: impl Read,
    ) -> Result<Self, KeyError> {
        for KeyArgument { role, place } in arguments {
            let text = place.text(*role, &mut input)?;
            self.keys.insert(*role, Given { text, place: place.to_string() });
        }
        Ok(self)
    }

    /// Whether the key of a role was handed over.
    pub fn has(&self, role: Role) -> bool {
        self.keys.contains_key(&role)
    }

    /// Text and place of a key.
    pub(super) fn key(&self, role: Role) -> Option<(&str, &str)> {
        self.keys.get(&role).map(|given| (given.text.as_str(), given.place.as_str()))
    }

    /// What encrypted keys open with, and new ones are encrypted with.
    pub(super) fn passphrase(&self) -> Option<&str> {
        self.passphrase.as_deref()
    }
}

impl KeyPlace {
    /// The text of the key of a role that lies here.
    pub(super) fn text(&self, role: Role, input: impl Read) -> Result<String, KeyError> {
        match self {
            Self::File(path) => folder::read(role, path),
            Self::Input => {
                let failed = |source| KeyError::Read { path: Path::new("-").to_owned(), source };
                let bytes = disk::read_bounded(input, folder::LARGEST_KEY_FILE).map_err(failed)?;
                String::from_utf8(bytes).map_err(|error| {
                    failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
                })
            }
        }
    }
}

impl FromStr for KeyPlace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Input } else { Self::File(text.into()) })
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Input => f.write_str("standard input"),
        }
    }
}

impl FromStr for KeyArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) =
            text.split_once('=').ok_or_else(|| "not of the form `ROLE=FILE`".to_owned())?;
        let role = Role::ALL.into_iter().find(|role| role.name() == name);
        let role = role.ok_or_else(|| {
            let names = Role::ALL.map(Role::name).join(", ");
            format!("`{name}` is not a role; there is {names}")
        })?;
        let Ok(place) = place.parse();
        Ok(Self { role, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Exit, Explained};
    use crate::release::keys::KeyFolder;

    /// RFC 8410, section 10.3.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_is_named_by_its_role_and_its_place() {
        let parsed: KeyArgument = "targets=a=b.pem".parse().unwrap();
        let place = KeyPlace::File("a=b.pem".into());
        assert_eq!(parsed, KeyArgument { role: Role::Targets, place });
        let parsed: KeyArgument = "root=-".parse().unwrap();
        assert_eq!(parsed.place, KeyPlace::Input);
        assert!("a.pem".parse::<KeyArgument>().unwrap_err().contains("ROLE=FILE"));
        assert!("mirror=a.pem".parse::<KeyArgument>().unwrap_err().contains("root, targets"));
    }

    #[test]
    fn standard_input_comes_before_the_environment_and_says_its_name() {
        let base = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(base.path(), "thermostat").unwrap();
        let arguments = [KeyArgument { role: Role::Targets, place: KeyPlace::Input }];
        let supplied = || {
            Supplied::from_environment(|name| (name == "ESP_OTA_KEY_TARGETS").then(|| "no".into()))
        };
        let good = supplied().with_arguments(&arguments, KEY.as_bytes()).unwrap();
        assert!(folder.load(Role::Targets, &good).is_ok());
        let bad = supplied().with_arguments(&arguments, &b"hello"[..]).unwrap();
        let error = folder.load(Role::Targets, &bad).unwrap_err();
        assert_eq!(error.to_string(), "cannot use the signing key in `standard input`");
        let endless = supplied().with_arguments(&arguments, std::io::repeat(b'a'));
        assert_eq!(endless.err().unwrap().exit(), Exit::Project);
    }
}
