//! `flash`: the first install over a cable.

pub mod settings;
