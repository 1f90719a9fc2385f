//! What a store over a network asks for: whom to trust, and who asks.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::StoreError;

/// The user of a store, for HTTP's basic authentication.
pub(super) const USER: &str = "ESP_OTA_STORE_USER";
/// The password of that user.
pub(super) const PASSWORD: &str = "ESP_OTA_STORE_PASSWORD";
/// A bearer token, in place of both.
pub(super) const TOKEN: &str = "ESP_OTA_STORE_TOKEN";

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte, in either direction.
    pub stall: Duration,
    /// Before the second try; each further one waits twice as long.
    pub pause: Duration,
    /// Tries after the first.
    pub retries: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            pause: Duration::from_millis(500),
            retries: 4,
        }
    }
}

/// Whom to trust beside Mozilla's set, and who asks.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Roots that the store's certificate may end in, in DER: those that the project pins.
    pub roots: Vec<CertificateDer<'static>>,
    /// `None`: the store is asked without a name.
    pub credentials: Option<Credentials>,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

/// Who asks. Never printed.
#[derive(Clone)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { .. } => f.write_str("Basic(..)"),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

impl Credentials {
    /// Reads them from the environment; an empty variable counts as not set.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, StoreError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        match (set(USER), set(PASSWORD), set(TOKEN)) {
            (None, None, None) => Ok(None),
            (Some(user), Some(password), None) if !user.contains(':') => {
                Ok(Some(Self::Basic { user, password }))
            }
            (Some(_), Some(_), None) => Err(StoreError::Credentials("the user holds a colon")),
            (None, None, Some(token)) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Some(Self::Bearer(token)))
            }
            (None, None, Some(_)) => Err(StoreError::Credentials("the token is no token")),
            (Some(_), None, None) => Err(StoreError::Credentials("there is a user, no password")),
            (None, Some(_), None) => Err(StoreError::Credentials("there is a password, no user")),
            (_, _, Some(_)) => Err(StoreError::Credentials("there are a user and a token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Exit, Explained};

    fn read(set: &[(&str, &str)]) -> Result<Option<Credentials>, StoreError> {
        Credentials::from_environment(|name| {
            set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_user_needs_a_password_and_a_token_needs_neither() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[(USER, ""), (TOKEN, "")]).unwrap().is_none());
        let basic = read(&[(USER, "ci"), (PASSWORD, "p:w ä")]).unwrap();
        assert!(matches!(basic, Some(Credentials::Basic { user, .. }) if user == "ci"));
        assert!(matches!(read(&[(TOKEN, "t")]).unwrap(), Some(Credentials::Bearer(_))));
        let wrong: [&[(&str, &str)]; 6] = [
            &[(USER, "ci")],
            &[(PASSWORD, "p")],
            &[(USER, "a:b"), (PASSWORD, "p")],
            &[(TOKEN, "two\nlines")],
            &[(USER, "ci"), (TOKEN, "t")],
            &[(USER, "ci"), (PASSWORD, "p"), (TOKEN, "t")],
        ];
        for set in wrong {
            assert_eq!(read(set).unwrap_err().exit(), Exit::Project, "{set:?}");
        }
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        for set in [vec![(USER, "geheim"), (PASSWORD, "geheim")], vec![(TOKEN, "geheim")]] {
            let access = Access { credentials: read(&set).unwrap(), ..Access::default() };
            assert!(!format!("{access:?}").contains("geheim"));
        }
    }
}
