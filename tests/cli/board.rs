//! A virtual board at a pseudo-terminal, in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use crate::harness::Project;

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
        let mut child = project
            .command(all.into_iter().chain(arguments.iter().copied()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            panic!("no port: {}", text(&mut child));
        }
        Self { child, port: line.trim().to_owned() }
    }

    /// Waits until it ends by itself, with `--once` or `--unplug-after`. Gives what it said.
    pub(crate) fn ended(mut self) -> String {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        text(&mut self.child)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}
