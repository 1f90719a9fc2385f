//! Pinned roots: which certificates a device may trust, how they get into its firmware, and whether
//! a live server still leads to one of them.

pub mod anchor;
pub mod bench;
pub mod bench_error;
pub mod candidates;
pub mod certificate;
pub mod chain;
mod deadline;
pub mod distrust;
pub mod endpoint;
pub mod exchange;
pub mod live;
pub mod name;
pub mod pem_file;
pub mod probe;
pub mod refusal;
pub mod root;
pub mod source;
pub mod standing;

pub use anchor::{AnchorError, Found};
pub use bench::{BenchRoot, Leaf};
pub use bench_error::BenchError;
pub use candidates::Candidates;
pub use certificate::KeyType;
pub use chain::{Chain, Link};
pub use distrust::Distrust;
pub use endpoint::{Endpoint, NotAnEndpoint};
pub use name::{IpOrDns, NotAHost};
pub use probe::{Presented, ProbeError};
pub use refusal::{Refusal, RootError};
pub use root::PinnedRoot;
