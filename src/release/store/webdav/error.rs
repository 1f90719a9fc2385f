//! What can go wrong with a store over a network, and what to do about it.

use std::error::Error;
use std::time::Duration;

use crate::error::{Exit, Explained};
use crate::release::store::access;

/// A host that wants to be left alone for longer is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A store over a network could not be named, reached, read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum WebDavError {
    #[error("`{shown}` is no address of a store: {reason}")]
    Address { shown: String, reason: &'static str },
    #[error("the HTTPS client could not be set up")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    #[error("the certificate of `{host}` is not trusted")]
    Distrust { host: String, source: Box<rustls::Error> },
    #[error("`{host}` could not be asked: {reason}")]
    Unreachable { host: String, reason: String },
    #[error("`{host}` neither took nor sent a byte for {seconds} s")]
    Stalled { host: String, seconds: u64 },
    #[error("`{host}` answers {status} to {method} `{path}`")]
    Busy { host: String, status: u16, method: String, path: String, wait: Option<Duration> },
    #[error("`{path}` is redirected to `{target}`")]
    Redirect { path: String, target: String },
    #[error("`{host}` asks who publishes (401 to {method} `{path}`)")]
    NoCredentials { host: String, method: String, path: String },
    #[error("`{host}` refuses the credentials (401 to {method} `{path}`)")]
    WrongCredentials { host: String, method: String, path: String },
    #[error("`{host}` forbids {method} `{path}` (403)")]
    Forbidden { host: String, method: String, path: String },
    #[error("`{host}` does not take {method} (405 or 501 to `{path}`)")]
    Method { host: String, method: String, path: String },
    #[error("`{path}` is not in a folder that exists, and `{host}` makes none")]
    NoFolder { host: String, path: String },
    #[error("`{path}` is larger than `{host}` takes: {length} bytes")]
    TooLarge { host: String, path: String, length: u64 },
    #[error("the disk of `{host}` is full")]
    Full { host: String },
    #[error("`{host}` answers {status} to {method} `{path}`")]
    Unwritten { host: String, status: u16, method: String, path: String },
    #[error("`{host}` answers {status} to {method} `{path}`")]
    Unread { host: String, status: u16, method: String, path: String },
    #[error("`{path}` is larger than {limit} bytes")]
    Oversized { path: String, limit: usize },
    #[error("the precondition of {method} `{path}` does not hold")]
    Precondition { method: String, path: String },
}

impl WebDavError {
    /// Whether the same request may come through a moment later.
    pub(in crate::release::store) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } => true,
            Self::Busy { wait, .. } => wait.is_none_or(|wait| wait <= LONGEST_WAIT),
            Self::Address { .. }
            | Self::Setup(_)
            | Self::Distrust { .. }
            | Self::Redirect { .. }
            | Self::NoCredentials { .. }
            | Self::WrongCredentials { .. }
            | Self::Forbidden { .. }
            | Self::Method { .. }
            | Self::NoFolder { .. }
            | Self::TooLarge { .. }
            | Self::Full { .. }
            | Self::Unwritten { .. }
            | Self::Unread { .. }
            | Self::Oversized { .. }
            | Self::Precondition { .. } => false,
        }
    }

    /// How long the host wants to be left alone.
    pub(in crate::release::store) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Busy { wait, .. } => *wait,
            _ => None,
        }
    }
}

impl Explained for WebDavError {
    fn exit(&self) -> Exit {
        match self {
            // The project names the wrong place, or the environment the wrong user.
            Self::Address { .. }
            | Self::Redirect { .. }
            | Self::NoCredentials { .. }
            | Self::WrongCredentials { .. }
            | Self::Forbidden { .. }
            | Self::Oversized { .. } => Exit::Project,
            Self::Distrust { .. } => Exit::Trust,
            Self::Setup(_)
            | Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::Busy { .. }
            | Self::Unread { .. } => Exit::Network,
            Self::Method { .. }
            | Self::NoFolder { .. }
            | Self::TooLarge { .. }
            | Self::Full { .. }
            | Self::Unwritten { .. } => Exit::Output,
            Self::Precondition { .. } => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        let credentials =
            || format!("`{}` and `{}`, or `{}`", access::USER, access::PASSWORD, access::TOKEN);
        match self {
            Self::Address { .. } => Some(
                "name an https address without user, query and fragment in `esp-ota.toml`: \
                 `store = \"https://updates.example.com/thermostat\"`"
                    .into(),
            ),
            Self::Setup(_) => None,
            Self::Distrust { .. } => Some(
                "the certificate has to end in a root that `[trust] roots` names, or in one of \
                 Mozilla's; check the address, and the certificate that the host shows"
                    .into(),
            ),
            Self::Unreachable { .. } | Self::Stalled { .. } => Some(
                "check the network and the address of the store, then run the command again: what \
                 was uploaded is not uploaded twice"
                    .into(),
            ),
            Self::Busy { .. } => {
                Some("run the command again later, or look at the host's log".into())
            }
            Self::Redirect { .. } => {
                Some("set `store` in `esp-ota.toml` to where the files really are".into())
            }
            Self::NoCredentials { .. } => Some(format!("set {} in the environment", credentials())),
            Self::WrongCredentials { .. } => Some(format!("check {}", credentials())),
            Self::Forbidden { .. } => Some(format!(
                "check what the user of {} may do there, and that the web server itself may write \
                 into its folder",
                credentials()
            )),
            Self::Method { .. } => Some(
                "allow it on the host; for nginx: `dav_methods PUT DELETE MKCOL COPY MOVE;` and \
                 `create_full_put_path on;` (docs/guide/hosting.md)"
                    .into(),
            ),
            Self::NoFolder { .. } => Some(
                "make the folder of the store on the host, or let it make folders; for nginx: \
                 `create_full_put_path on;`"
                    .into(),
            ),
            Self::TooLarge { .. } => {
                Some("raise the host's limit; for nginx: `client_max_body_size 64m;`".into())
            }
            Self::Full { .. } => Some("make room on the host; nothing was made visible".into()),
            Self::Unwritten { .. } | Self::Unread { .. } => {
                Some("look at the host's log, and at `store` in `esp-ota.toml`".into())
            }
            Self::Oversized { .. } => Some("check the address of the store".into()),
            Self::Precondition { .. } => {
                Some("nothing was made visible; run `cargo esp-ota publish` again".into())
            }
        }
    }
}
