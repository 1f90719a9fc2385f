//! Pinned roots: which certificates a device may trust, and how they get into its firmware.

pub mod bench;
pub mod bench_error;
pub mod name;
pub mod refusal;
pub mod root;
pub mod source;

pub use bench::{BenchRoot, Leaf};
pub use bench_error::BenchError;
pub use name::{IpOrDns, NotAHost};
pub use refusal::{Refusal, RootError};
pub use root::{KeyType, PinnedRoot};
