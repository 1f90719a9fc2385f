//! Which serial port a board is at.

use std::path::Path;

use serialport::{SerialPortInfo, SerialPortType, UsbPortInfo};

use crate::device::DeviceError;

/// USB ids of what sits between a computer and an ESP32: vendor, product.
const BOARDS: [(u16, u16); 9] = [
    (0x303a, 0x1001), // Espressif: the chip's own USB serial port
    (0x303a, 0x0002), // Espressif: ESP32-S2's ROM
    (0x303a, 0x1002), // Espressif: ESP-USB-Bridge
    (0x10c4, 0xea60), // Silicon Labs CP210x
    (0x1a86, 0x7523), // WCH CH340
    (0x1a86, 0x55d3), // WCH CH343
    (0x1a86, 0x55d4), // WCH CH9102
    (0x0403, 0x6010), // FTDI FT2232: ESP-Prog
    (0x0403, 0x6015), // FTDI FT231X
];

/// A port that was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// As the system names it.
    pub name: String,
    /// What is known of its USB device.
    pub(super) usb: Option<UsbPortInfo>,
}

/// A port, and the board's USB device, for people to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// As the system names it.
    pub name: String,
    /// What the USB device calls itself.
    pub product: Option<String>,
    /// Whether its ids are those of boards.
    pub is_board: bool,
}

impl Chosen {
    /// The named port.
    ///
    /// # Errors
    ///
    /// Where there is nothing of that name.
    pub fn named(name: &str) -> Result<Self, DeviceError> {
        let canonical = if cfg!(unix) {
            Path::new(name)
                .canonicalize()
                .map_err(|_| DeviceError::Absent { port: name.to_owned() })?
                .display()
                .to_string()
        } else {
            name.to_owned()
        };
        // A port that is not listed, such as a pseudo-terminal, can be opened all the same.
        let listed = serialport::available_ports().unwrap_or_default();
        let usb = listed
            .into_iter()
            .find(|port| port.port_name.eq_ignore_ascii_case(&canonical))
            .and_then(|port| usb(&port).cloned());
        Ok(Self { name: name.to_owned(), usb })
    }

    /// The only board that is plugged in.
    ///
    /// # Errors
    ///
    /// Where there is none, or more than one.
    pub fn only() -> Result<Self, DeviceError> {
        let listed = serialport::available_ports().map_err(DeviceError::Ports)?;
        let ports: Vec<SerialPortInfo> = listed.into_iter().filter(is_usable).collect();
        let boards: Vec<&SerialPortInfo> = ports.iter().filter(|port| is_board(port)).collect();
        match (&boards[..], &ports[..]) {
            ([only], _) => Ok(Self { name: only.port_name.clone(), usb: usb(only).cloned() }),
            ([], []) => Err(DeviceError::NoPort),
            ([], [other]) => Err(DeviceError::UnknownPort(other.port_name.clone())),
            ([], several) => Err(DeviceError::ManyPorts(names(several.iter()))),
            (several, _) => Err(DeviceError::ManyPorts(names(several.iter().copied()))),
        }
    }
}

/// Every USB serial port, boards first.
///
/// # Errors
///
/// Where the system cannot list them.
pub fn known_ports() -> Result<Vec<Known>, DeviceError> {
    let listed = serialport::available_ports().map_err(DeviceError::Ports)?;
    let mut ports: Vec<Known> = listed
        .iter()
        .filter(|port| is_usable(port))
        .map(|port| Known {
            name: port.port_name.clone(),
            product: usb(port).and_then(|usb| usb.product.clone()),
            is_board: is_board(port),
        })
        .collect();
    ports.sort_by_key(|port| !port.is_board);
    Ok(ports)
}

fn names<'a>(ports: impl Iterator<Item = &'a SerialPortInfo>) -> Vec<String> {
    ports.map(|port| port.port_name.clone()).collect()
}

fn usb(port: &SerialPortInfo) -> Option<&UsbPortInfo> {
    match &port.port_type {
        SerialPortType::UsbPort(usb) => Some(usb),
        SerialPortType::PciPort | SerialPortType::BluetoothPort | SerialPortType::Unknown => None,
    }
}

/// macOS shows each device twice; a `tty` waits for a carrier that never comes.
fn is_usable(port: &SerialPortInfo) -> bool {
    usb(port).is_some() && !port.port_name.starts_with("/dev/tty.")
}

fn is_board(port: &SerialPortInfo) -> bool {
    usb(port).is_some_and(|usb| BOARDS.contains(&(usb.vid, usb.pid)))
}
