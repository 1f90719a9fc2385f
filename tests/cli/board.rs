//! A virtual board at a pseudo-terminal, in a process of its own.

use std::process::{Child, Command};

use crate::harness::{Project, said};

/// A running board. Dropping it kills it, whether or not its file has what was written to it.
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

    /// Presses Ctrl-C. Everything that was written to it is in its file then.
    pub(crate) fn stopped(self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.ended();
    }

    /// Waits until it ends by itself, with `--once` or `--unplug-after`. Gives what it said.
    pub(crate) fn ended(mut self) -> String {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        said(&mut self.child)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
