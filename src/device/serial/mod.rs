//! A device at a serial port, through espflash's library.

mod cable;
mod port;
mod settings;

pub use cable::{Cable, Security};
pub use port::{Chosen, Known, UsbId, known_ports};
pub use settings::{Before, Connect};
