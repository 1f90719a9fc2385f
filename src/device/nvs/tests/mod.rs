//! Merges into partitions as devices have them.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod bench;
mod cuts;
mod damage;
mod merge;
mod passphrases;
