//! From a dumped stack to the calls that led there, by the rules that the compiler has left in
//! `.debug_frame`.
//!
//! A function that never returns need not keep where it was called from, and those that end a program
//! are such functions. There the next call is looked for: the first word further up that leads right
//! behind one.

use addr2line::gimli::{
    BaseAddresses, CfaRule, DebugFrame, EndianSlice, LittleEndian, Register, RegisterRule,
    UnwindContext, UnwindSection,
};

/// Calls of one stack that are followed.
const MOST_CALLS: usize = 32;
/// RISC-V's numbers of the registers that matter (its DWARF specification).
const RETURN_ADDRESS: Register = Register(1);
const STACK_POINTER: Register = Register(2);
/// Bytes of a word.
const WORD: i64 = 4;

/// The rules of a program.
pub(super) struct Unwind<'data> {
    rules: DebugFrame<EndianSlice<'data, LittleEndian>>,
    bases: BaseAddresses,
}

/// What the rules say of a place in the code.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// The frame has so many bytes, and so far below its end stands where it returns to.
    Returns { frame: i64, at: i64 },
    /// The frame has so many bytes, and does not say.
    Lost { frame: i64 },
    /// Nothing has called this.
    Outermost,
}

impl<'data> Unwind<'data> {
    pub(super) fn new(section: &'data [u8]) -> Self {
        let mut rules = DebugFrame::new(section, LittleEndian);
        rules.set_address_size(4);
        Self { rules, bases: BaseAddresses::default() }
    }

    /// Where each call on a stack returns to, innermost first. `at` is the place in the code at which
    /// the stack was dumped, `stack` its words from the stack pointer up.
    pub(super) fn calls(
        &self,
        at: u64,
        stack: &[u64],
        is_return_address: impl Fn(u64) -> bool,
        is_start: impl Fn(u64) -> bool,
    ) -> Vec<u64> {
        let word = |offset: i64| {
            let index = usize::try_from(offset.checked_div(WORD)?).ok()?;
            stack.get(index).copied()
        };
        let mut calls = Vec::new();
        let (mut place, mut pointer) = (at, 0_i64);
        while calls.len() < MOST_CALLS {
            let rule = self.rule(place).unwrap_or(Rule::Lost { frame: 0 });
            let (end, found) = match rule {
                Rule::Outermost => break,
                Rule::Lost { frame } => (pointer.saturating_add(frame), None),
                Rule::Returns { frame, at } => {
                    let end = pointer.saturating_add(frame);
                    (end, word(end.saturating_add(at)).filter(|found| is_return_address(*found)))
                }
            };
            let next = found.map(|address| (address, end)).or_else(|| {
                let first = usize::try_from(end.checked_div(WORD)?).ok()?;
                let mut above = stack.iter().copied().enumerate().skip(first);
                let (index, found) =
                    above.find(|(_, word)| is_return_address(*word) && !is_start(*word))?;
                let offset = i64::try_from(index).ok()?.checked_mul(WORD)?;
                Some((found, offset.saturating_add(WORD)))
            });
            let Some((address, end)) = next else { break };
            calls.push(address);
            pointer = end;
            // The call itself stands before the place to which it returns.
            place = address.saturating_sub(2);
        }
        calls
    }

    fn rule(&self, place: u64) -> Option<Rule> {
        let mut context = UnwindContext::new();
        let entry =
            self.rules.fde_for_address(&self.bases, place, DebugFrame::cie_from_offset).ok()?;
        let row =
            entry.unwind_info_for_address(&self.rules, &self.bases, &mut context, place).ok()?;
        let frame = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } if *register == STACK_POINTER => {
                // A stack does not grow backwards, and this ends.
                Some(*offset).filter(|offset| *offset >= 0)?
            }
            CfaRule::RegisterAndOffset { .. } | CfaRule::Expression(_) => return None,
        };
        let mut registers = row.registers();
        match registers.find(|(register, _)| *register == RETURN_ADDRESS) {
            Some((_, RegisterRule::Offset(at))) => Some(Rule::Returns { frame, at: *at }),
            Some((_, RegisterRule::Undefined)) => Some(Rule::Outermost),
            Some(_) | None => Some(Rule::Lost { frame }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule for 0x42000000 to 0x42000100: the frame ends so many bytes above the stack pointer.
    fn section(frame: u64) -> Vec<u8> {
        // Version 3, no augmentation, code in bytes, data in words downwards, `ra`; DW_CFA_def_cfa sp.
        let mut common = vec![0xff, 0xff, 0xff, 0xff, 3, 0, 1, 0x7c, 1, 0x0c, 2];
        let mut rest = frame;
        while rest >= 0x80 {
            common.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        common.push(u8::try_from(rest).unwrap());
        let mut bytes = u32::try_from(common.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(common);
        bytes.extend([12_u32, 0, 0x4200_0000, 0x100].map(u32::to_le_bytes).concat());
        bytes
    }

    #[test]
    fn a_frame_of_any_size_ends_the_walk_or_leads_on() {
        let stack = [1, 2, 3, 4];
        let calls = |frame| {
            let section = section(frame);
            let is_call = |word| word == 3 || word == 4;
            Unwind::new(&section).calls(0x4200_0010, &stack, is_call, |_| false)
        };
        assert_eq!(calls(0), [3, 4]);
        assert_eq!(calls(12), [4]);
        for frame in [16, 1 << 32, i64::MAX.unsigned_abs() - 3, i64::MAX.unsigned_abs(), u64::MAX] {
            assert!(calls(frame).len() <= stack.len(), "{frame:#x}");
        }
        assert_eq!(calls(i64::MAX.unsigned_abs()), [0; 0]);
    }
}
