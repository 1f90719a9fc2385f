//! Releases: signing keys, the TUF repository, the rules of publishing, and the stores it is in.
//!
//! A publish reads the live repository ([`repository::State::load`]), works out every new file in
//! memory ([`repository::State::publish`]), writes them where no device looks
//! ([`store::Store::stage`]) and, once they are proven, makes them visible in one step
//! ([`store::Store::promote`]).

pub mod custom;
pub mod keep;
pub mod keys;
pub mod listing;
mod metadata;
pub mod plan;
pub mod repository;
pub mod root;
pub mod rotation;
pub mod rules;
pub mod store;
mod transport;

#[cfg(test)]
mod tests;
