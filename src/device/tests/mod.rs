//! Surveys and changes of flash that is not at a cable.

mod changes;
mod choices;
