//! The engine on a small project, and on boards that do it wrong.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod engine;
mod sabotage;
