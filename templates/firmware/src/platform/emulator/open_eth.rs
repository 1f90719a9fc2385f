//! The Ethernet MAC of emulated boards: "Ethernet IP Core Specification" of OpenCores, revision
//! 1.19. QEMU has it with `-nic user,model=open_eth`.
//!
//! The MAC fetches and fills buffers by itself, through descriptors of two words: flags and length,
//! then the buffer's address. Here one descriptor sends, and eight receive in a ring.

use core::cell::UnsafeCell;
use core::task::Context;

use embassy_net::driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;
use esp_hal::interrupt::{self, InterruptHandler, Priority};
use esp_hal::peripherals::Interrupt;

/// Where emulated boards have it, on the interrupt of the Wi-Fi MAC that they lack.
const BASE: usize = 0x600c_d000;
const INTERRUPT: Interrupt = Interrupt::WIFI_MAC;

// Offsets of registers (section 3).
const MODE: usize = 0x00;
const INT_SOURCE: usize = 0x04;
const INT_MASK: usize = 0x08;
const TX_DESCRIPTORS: usize = 0x20;
const MAC_LOW: usize = 0x40;
const MAC_HIGH: usize = 0x44;
const DESCRIPTORS: usize = 0x400;

// Bits of the mode register: receive, transmit, reset; padding and CRC are appended after reset.
const RECEIVE: u32 = 1;
const TRANSMIT: u32 = 1 << 1;
const RESET: u32 = 1 << 11;
const MODE_AFTER_RESET: u32 = 0xa000;
/// Interrupt: a frame was received.
const FRAME_RECEIVED: u32 = 1 << 2;

// Flags of a descriptor. `OWNED` says that the MAC may use it: to send, or to receive into.
const OWNED: u32 = 1 << 15;
const WITH_INTERRUPT: u32 = 1 << 14;
const LAST: u32 = 1 << 13;

const RECEIVE_BUFFERS: usize = 8;
/// A frame of the longest kind, with CRC, and round.
const BUFFER: usize = 1600;
/// Ethernet's: 1500 bytes and a header of 14. Its CRC is the MAC's business.
const LONGEST_FRAME: usize = 1514;
/// The length of a received frame counts its CRC.
const CRC: usize = 4;
/// The descriptor that sends. Those that receive follow.
const SEND: usize = 0;

#[repr(align(4))]
struct Buffers(UnsafeCell<[[u8; BUFFER]; RECEIVE_BUFFERS + 1]>);

#[expect(unsafe_code, reason = "memory that the MAC shares")]
// SAFETY: only the one `OpenEth`, which has no second, looks at them.
unsafe impl Sync for Buffers {}

static BUFFERS: Buffers = Buffers(UnsafeCell::new([[0; BUFFER]; RECEIVE_BUFFERS + 1]));
static WAKER: AtomicWaker = AtomicWaker::new();

#[expect(unsafe_code, reason = "a register")]
fn read(offset: usize) -> u32 {
    // SAFETY: the MAC's registers and descriptors are words from its base.
    unsafe { ((BASE + offset) as *const u32).read_volatile() }
}

#[expect(unsafe_code, reason = "a register")]
fn write(offset: usize, value: u32) {
    // SAFETY: the MAC's registers and descriptors are words from its base.
    unsafe { ((BASE + offset) as *mut u32).write_volatile(value) }
}

fn flags(descriptor: usize) -> usize {
    DESCRIPTORS + 8 * descriptor
}

fn address(descriptor: usize) -> usize {
    flags(descriptor) + 4
}

fn buffer(descriptor: usize) -> *mut u8 {
    BUFFERS.0.get().cast::<u8>().wrapping_add(BUFFER * descriptor)
}

/// Lends the first `len` bytes of a buffer that the MAC does not own now.
#[expect(unsafe_code, reason = "memory that the MAC shares")]
fn lend<R>(descriptor: usize, len: usize, use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    let len = len.min(BUFFER);
    // SAFETY: `buffer` is one of `BUFFERS`, `len` fits it, and whoever calls holds a token, of
    // which there is one at a time for each descriptor.
    use_it(unsafe { core::slice::from_raw_parts_mut(buffer(descriptor), len) })
}

extern "C" fn on_interrupt() {
    write(INT_SOURCE, read(INT_SOURCE)); // a 1 clears
    WAKER.wake();
}

/// The interface of an emulated board.
pub struct OpenEth {
    mac: [u8; 6],
    /// The next descriptor to receive a frame.
    next: usize,
}

impl OpenEth {
    /// Starts the MAC. Call it once.
    pub fn new(mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        write(MODE, RESET);
        write(MODE, 0);
        write(TX_DESCRIPTORS, 1);
        write(MAC_LOW, u32::from_be_bytes([c, d, e, f]));
        write(MAC_HIGH, u32::from_be_bytes([0, 0, a, b]));
        write(address(SEND), buffer(SEND) as u32);
        write(flags(SEND), LAST);
        for descriptor in 1..=RECEIVE_BUFFERS {
            write(address(descriptor), buffer(descriptor) as u32);
            give_back(descriptor);
        }
        interrupt::bind_handler(
            INTERRUPT,
            InterruptHandler::new(on_interrupt, Priority::Priority1),
        );
        interrupt::enable(INTERRUPT, Priority::Priority1);
        write(INT_MASK, FRAME_RECEIVED);
        write(MODE, MODE_AFTER_RESET | RECEIVE | TRANSMIT);
        Self { mac, next: 1 }
    }
}

/// Lets the MAC receive into a buffer.
fn give_back(descriptor: usize) {
    let last = if descriptor == RECEIVE_BUFFERS { LAST } else { 0 };
    write(flags(descriptor), OWNED | WITH_INTERRUPT | last);
}

/// A frame that was received.
pub struct Received<'a>(&'a mut usize);

/// The right to send a frame.
pub struct Sending;

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, use_it: F) -> R {
        let descriptor = *self.0;
        let len = (read(flags(descriptor)) >> 16) as usize;
        let result = lend(descriptor, len.saturating_sub(CRC), use_it);
        give_back(descriptor);
        *self.0 = if descriptor == RECEIVE_BUFFERS { 1 } else { descriptor + 1 };
        result
    }
}

impl TxToken for Sending {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, use_it: F) -> R {
        let result = lend(SEND, len, use_it);
        // An emulator sends before this write returns.
        write(flags(SEND), (len as u32) << 16 | OWNED | LAST);
        result
    }
}

impl Driver for OpenEth {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Sending)> {
        WAKER.register(context.waker());
        let is_empty = read(flags(self.next)) & OWNED != 0;
        (!is_empty).then_some((Received(&mut self.next), Sending))
    }

    fn transmit(&mut self, _context: &mut Context<'_>) -> Option<Sending> {
        Some(Sending)
    }

    fn link_state(&mut self, _context: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = LONGEST_FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}
