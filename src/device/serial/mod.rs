//! A device at a serial port, through espflash's library.

mod cable;
mod listener;
mod port;
mod settings;

pub use cable::{Cable, Security};
pub use listener::{Heard, Listener};
pub use port::{Chosen, Known, UsbId, known_ports};
pub use settings::{Before, Connect};
