//! Partition tables: read them as ESP-IDF does, judge them as an updater must, write them back.
//!
//! Everything here is pure: bytes, text and options in; tables and findings out. `gen_esp32part.py`
//! 1.5 of ESP-IDF is the reference for what is legal; whether a legal table can also carry updates
//! is judged apart from that, so that the two are never confused.

mod binary;
mod code;
mod csv;
mod csv_writer;
mod data_request;
mod delivery;
mod diff;
mod entry;
mod extra_subtypes;
mod finding;
mod format;
mod generate;
mod headroom;
mod keyword;
mod kind;
mod layout;
mod number;
mod options;
mod picture;
mod preset;
mod reading;
mod refused;
mod resolve;
mod rules;
mod size;
mod table;
mod text;
mod variables;

pub use binary::{EncodeError, FORMAT_SIZE, encode, encode_without_digest};
pub use code::{Code, Severity, UnknownCode};
pub use csv::{Cell, Field, Written};
pub use csv_writer::{CsvError, to_csv};
pub use data_request::{DataRequest, DataRequestError, Room};
pub use delivery::{Delivery, RowVerdict, Verdict, deliver};
pub use diff::{Change, Pair};
pub use entry::{Entry, Flags, Label};
pub use extra_subtypes::{ExtraSubtypes, ExtraSubtypesError};
pub use finding::{AcceptedBy, Finding, Report};
pub use format::format;
pub use generate::{Generated, Intent, Request, generate};
pub use headroom::{MinFree, SlotRoom, headroom, judge};
pub use kind::{Class, Kind};
pub use layout::{no_filesystem, standard};
pub use options::{Options, SecureBoot, TABLE_SIZE};
pub use picture::{Canvas, Line, MOST_DRAWN, Part, Region, draw, regions};
pub use preset::{PRESETS, Preset};
pub use reading::{Digest, Reading, Row, Source, Unusable, read};
pub use refused::{Demand, Refused};
pub use rules::espflash::to_esp_idf_part;
pub use rules::{check, check_table, is_whole};
pub use size::{NotASize, Size};
pub use table::Table;
