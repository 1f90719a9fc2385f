//! A program that is nothing but names and lines: `pump.elf` is made of it, see `README.md`.

#![no_core]
#![no_std]
#![no_main]
#![allow(internal_features)]
#![feature(no_core, lang_items)]

#[lang = "pointee_sized"]
trait PointeeSized {}
#[lang = "meta_sized"]
trait MetaSized: PointeeSized {}
#[lang = "sized"]
trait Sized: MetaSized {}
#[lang = "copy"]
trait Copy {}
impl Copy for u32 {}

mod pump {
    use crate::open;

    #[inline(always)]
    fn valve(plant: u32) -> u32 {
        let first = open(plant);
        open(first)
    }

    #[inline(never)]
    pub fn water(plant: u32) -> u32 {
        let last = valve(plant);
        open(last);
        last
    }
}

#[inline(never)]
fn open(valve: u32) -> u32 {
    unsafe {
        *(0x6000_4004 as *mut u32) = valve;
        *(0x6000_403c as *mut u32)
    }
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> u32 {
    let first = pump::water(3);
    pump::water(first);
    first
}
