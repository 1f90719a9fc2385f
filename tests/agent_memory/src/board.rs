//! The machine: QEMU's riscv32 `virt` without an operating system, a heap that counts and a stack
//! that is painted. The only unsafe code of the repository's tests.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt::{self, Write};
use core::ptr::{NonNull, addr_of, addr_of_mut, null_mut};

use linked_list_allocator::Heap;

/// What untouched stack holds.
const PAINT: u32 = 0xa5a5_a5a5;
/// Bytes of the heap: more than any chip gives.
const HEAP: usize = 0x30000;
/// Stack below the caller that `repaint` leaves alone: its own frame.
const OWN_FRAME: usize = 256;
/// The serial port, and the register that ends QEMU (its `virt` machine, `virt_memmap`).
const UART: *mut u8 = 0x1000_0000 as *mut u8;
const FINISHER: *mut u32 = 0x0010_0000 as *mut u32;
/// Ends QEMU with exit code 0, and with 1 (`sifive_test`).
const PASS: u32 = 0x5555;
const FAIL: u32 = 0x1_3333;

core::arch::global_asm!(
    ".section .init",
    "_start:",
    "la sp, _stack_top",
    "la t0, _bss",
    "la t1, _ebss",
    "1: bgeu t0, t1, 2f",
    "sw zero, 0(t0)",
    "addi t0, t0, 4",
    "j 1b",
    "2: la t0, _stack_low",
    "li t2, 0xa5a5a5a5",
    "3: bgeu t0, sp, 4f",
    "sw t2, 0(t0)",
    "addi t0, t0, 4",
    "j 3b",
    "4: call start",
);

unsafe extern "C" {
    static _stack_low: u32;
    static _stack_top: u32;
}

/// The serial port.
struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the data register of the machine's UART.
            unsafe { UART.write_volatile(byte) }
        }
        Ok(())
    }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[repr(align(16))]
struct Memory(#[expect(dead_code, reason = "reached by its address")] [u8; HEAP]);

// One core, no interrupts: nobody else touches these.
static mut MEMORY: Memory = Memory([0; HEAP]);
static mut FREE: Heap = Heap::empty();
static mut USED: usize = 0;
static mut MOST: usize = 0;

// SAFETY: the list allocator hands out what it owns; the counters are not shared.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe {
            let Ok(block) = (*addr_of_mut!(FREE)).allocate_first_fit(layout) else {
                return null_mut();
            };
            USED += layout.size();
            MOST = MOST.max(USED);
            block.as_ptr()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            USED -= layout.size();
            (*addr_of_mut!(FREE)).deallocate(NonNull::new_unchecked(block), layout);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    // SAFETY: called once, by the code above.
    unsafe { (*addr_of_mut!(FREE)).init(addr_of_mut!(MEMORY).cast(), HEAP) }
    crate::measure();
    end(PASS)
}

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Serial, "{info}");
    end(FAIL)
}

fn end(word: u32) -> ! {
    // SAFETY: the machine's finisher.
    unsafe { FINISHER.write_volatile(word) }
    loop {}
}

/// Runs `step`, then says how many bytes of heap and stack it took at most.
pub fn measured<T>(name: &str, step: impl FnOnce() -> T) -> T {
    // SAFETY: see the statics.
    let before = unsafe {
        MOST = USED;
        USED
    };
    repaint();
    let result = step();
    // SAFETY: see the statics.
    let heap = unsafe { MOST } - before;
    let _ = writeln!(Serial, "{name}: heap {heap} stack {}", stack());
    result
}

/// Bytes of stack in use at most since it was painted.
fn stack() -> usize {
    let mut place = addr_of!(_stack_low);
    // SAFETY: the linker script's stack, from its low end up to the first byte in use.
    unsafe {
        while place.read_volatile() == PAINT {
            place = place.add(1);
        }
    }
    addr_of!(_stack_top) as usize - place as usize
}

/// Never inlined, so that nothing but its own frame lies below its variables.
#[inline(never)]
fn repaint() {
    let here = 0u32;
    let end = addr_of!(here) as usize - OWN_FRAME;
    let mut place = addr_of!(_stack_low).cast_mut();
    while (place as usize) < end {
        // SAFETY: below every frame in use.
        unsafe {
            place.write_volatile(PAINT);
            place = place.add(1);
        }
    }
}
