//! Partition tables: read them as ESP-IDF does, judge them as an updater must, write them back.
//!
//! Everything here is pure: bytes, text and options in; tables and findings out. `gen_esp32part.py`
//! 1.5 of ESP-IDF is the reference for what is legal; whether a legal table can also carry updates
//! is judged apart from that, so that the two are never confused.

mod binary;
mod code;
mod csv;
mod csv_writer;
mod entry;
mod finding;
mod keyword;
mod kind;
mod layout;
mod number;
mod options;
mod reading;
mod resolve;
mod rules;
mod table;
mod text;
mod variables;

pub use binary::{EncodeError, FORMAT_SIZE, encode};
pub use code::{Code, Severity};
pub use csv::{Cell, Field, Written};
pub use csv_writer::{CsvError, to_csv};
pub use entry::{Entry, Flags, Label};
pub use finding::{AcceptedBy, Finding, Report};
pub use kind::{Class, Kind};
pub use layout::{no_filesystem, standard};
pub use options::{Options, SecureBoot, TABLE_SIZE};
pub use reading::{Digest, Reading, Row, Source, Unusable, read};
pub use rules::espflash::to_esp_idf_part;
pub use rules::{check, check_table};
pub use table::Table;
