//! A virtual board at a pseudo-terminal, in a process of its own.

use std::process::Child;
use std::thread;
use std::time::Duration;

use crate::harness::{Project, said};

/// A running board. Dropping it stops it.
pub(crate) struct Board {
    child: Child,
    pub(crate) port: String,
}

impl Board {
    /// A board with this flash, in `board.bin` of a project.
    pub(crate) fn start(project: &Project, flash: &[u8], arguments: &[&str]) -> Self {
        std::fs::write(project.path("board.bin"), flash).unwrap();
        let all = ["virtual-device", "--pty", "--image", "board.bin"];
        let (child, line) = project.start(all.into_iter().chain(arguments.iter().copied()));
        Self { child, port: line.trim().to_owned() }
    }

    /// Waits until it ends by itself, with `--once` or `--unplug-after`. Gives what it said.
    pub(crate) fn ended(mut self) -> String {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        said(&mut self.child)
    }
}

/// A board saves what was written once its host is silent for 50 ms. Whoever stops it earlier pulls
/// its power.
const TIME_TO_SAVE: Duration = Duration::from_millis(500);

impl Drop for Board {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(TIME_TO_SAVE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
