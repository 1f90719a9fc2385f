//! Which serial port a board is at.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

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

/// Vendor and product of a USB device, written `303a:1001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbId {
    /// Vendor.
    pub vendor: u16,
    /// Product.
    pub product: u16,
}

impl fmt::Display for UsbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)
    }
}

impl FromStr for UsbId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (vendor, product) = text.split_once(':').unwrap_or((text, ""));
        let number = |text| u16::from_str_radix(text, 16);
        Ok(Self { vendor: number(vendor)?, product: number(product)? })
    }
}

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
    /// Its ids.
    pub id: Option<UsbId>,
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

    /// Whether both are one port, by whatever name.
    pub fn is_same(&self, other: &Self) -> bool {
        let place = |port: &Self| Path::new(&port.name).canonicalize().ok();
        self.name == other.name || place(self).is_some_and(|it| place(other) == Some(it))
    }

    /// The same board, after it was unplugged: its USB device, by serial number or by ids, whatever its
    /// port is called now; without USB, the port of that name.
    pub fn again(&self) -> Option<Self> {
        let Some(usb) = &self.usb else { return Self::named(&self.name).ok() };
        let listed = serialport::available_ports().unwrap_or_default();
        let port = same(usb, &self.name, &listed)?;
        Some(Self { name: port.port_name.clone(), usb: self::usb(port).cloned() })
    }

    /// The only board that is plugged in. `more` are ids that count as boards, beside the usual ones.
    ///
    /// # Errors
    ///
    /// Where there is none, or more than one.
    pub fn only(more: &[UsbId]) -> Result<Self, DeviceError> {
        let listed = serialport::available_ports().map_err(DeviceError::Ports)?;
        let ports: Vec<SerialPortInfo> = listed.into_iter().filter(is_usable).collect();
        let is_known = |port: &&SerialPortInfo| {
            is_board(port) || id(port).is_some_and(|id| more.contains(&id))
        };
        let boards: Vec<&SerialPortInfo> = ports.iter().filter(is_known).collect();
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
            id: id(port),
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

fn id(port: &SerialPortInfo) -> Option<UsbId> {
    usb(port).map(|usb| UsbId { vendor: usb.vid, product: usb.pid })
}

/// The port of a USB device that is back. One without a serial number is known by its ids: where
/// several have them, by its old name too.
fn same<'a>(
    before: &UsbPortInfo,
    name: &str,
    listed: &'a [SerialPortInfo],
) -> Option<&'a SerialPortInfo> {
    let is_same = |port: &&SerialPortInfo| {
        is_usable(port)
            && usb(port).is_some_and(|now| {
                (now.vid, now.pid, &now.serial_number)
                    == (before.vid, before.pid, &before.serial_number)
            })
    };
    let found: Vec<&SerialPortInfo> = listed.iter().filter(is_same).collect();
    match &found[..] {
        [only] => Some(only),
        several => several.iter().copied().find(|port| port.port_name == name),
    }
}

/// macOS shows each device twice; a `tty` waits for a carrier that never comes.
fn is_usable(port: &SerialPortInfo) -> bool {
    usb(port).is_some() && !port.port_name.starts_with("/dev/tty.")
}

fn is_board(port: &SerialPortInfo) -> bool {
    usb(port).is_some_and(|usb| BOARDS.contains(&(usb.vid, usb.pid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, vid: u16, pid: u16) -> SerialPortInfo {
        let usb = UsbPortInfo { vid, pid, serial_number: None, manufacturer: None, product: None };
        SerialPortInfo { port_name: name.into(), port_type: SerialPortType::UsbPort(usb) }
    }

    #[test]
    fn a_board_is_told_by_its_usb_ids() {
        assert!(is_board(&port("/dev/ttyACM0", 0x303a, 0x1001)));
        assert!(is_board(&port("COM3", 0x10c4, 0xea60)));
        assert!(!is_board(&port("/dev/ttyACM1", 0x1234, 0x5678)));
        assert!(!is_usable(&port("/dev/tty.usbmodem1", 0x303a, 0x1001)));
        let built_in =
            SerialPortInfo { port_name: "/dev/ttyS0".into(), port_type: SerialPortType::Unknown };
        assert!(!is_usable(&built_in));
    }

    #[test]
    fn a_board_that_is_back_is_known_by_its_serial_number_under_any_name() {
        let numbered = |name, number: Option<&str>| {
            let serial_number = number.map(str::to_owned);
            let usb = UsbPortInfo {
                vid: 0x303a,
                pid: 0x1001,
                serial_number,
                manufacturer: None,
                product: None,
            };
            SerialPortInfo {
                port_name: String::from(name),
                port_type: SerialPortType::UsbPort(usb),
            }
        };
        let before = |number| usb(&numbered("", number)).unwrap().clone();
        let name = |found: Option<&SerialPortInfo>| found.map(|port| port.port_name.clone());
        let listed = [
            port("/dev/ttyUSB0", 0x10c4, 0xea60),
            numbered("/dev/ttyACM0", Some("A")),
            numbered("/dev/ttyACM1", Some("B")),
        ];
        let found = same(&before(Some("B")), "/dev/ttyACM0", &listed);
        assert_eq!(name(found).as_deref(), Some("/dev/ttyACM1"));
        assert_eq!(same(&before(Some("C")), "/dev/ttyACM0", &listed), None);
        let twins = [numbered("/dev/ttyACM0", None), numbered("/dev/ttyACM1", None)];
        let found = same(&before(None), "/dev/ttyACM1", &twins);
        assert_eq!(name(found).as_deref(), Some("/dev/ttyACM1"));
        assert_eq!(same(&before(None), "/dev/ttyACM2", &twins), None, "it could be either");
        let found = same(&before(None), "/dev/ttyACM2", &twins[..1]);
        assert_eq!(name(found).as_deref(), Some("/dev/ttyACM0"));
    }

    #[test]
    fn an_id_is_written_as_it_is_read() {
        let id = UsbId { vendor: 0x303a, product: 0x1001 };
        assert_eq!(id.to_string(), "303a:1001");
        assert_eq!("303a:1001".parse(), Ok(id));
        for bad in ["", "303a", "303a:", "x:1", "303a:1001:2", "303a:10010"] {
            assert!(bad.parse::<UsbId>().is_err(), "{bad}");
        }
    }
}
