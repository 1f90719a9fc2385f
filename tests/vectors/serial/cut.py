#!/usr/bin/env python3
"""Cuts an ELF file down to what the stack of a panic leads to.

    cut.py FIRMWARE.elf panic.log > panic.elf

Kept is each function that a word of the stack points into: its code at its address, its name, and its rules in `.debug_frame`.
"""

import re
import struct
import sys


def sections(elf):
    (offset,) = struct.unpack_from("<I", elf, 32)
    size, count, names = struct.unpack_from("<3H", elf, 46)
    rows = [struct.unpack_from("<10I", elf, offset + size * n) for n in range(count)]
    start = rows[names][4]
    return [(elf[start + row[0] : elf.index(b"\0", start + row[0])].decode(), row) for row in rows]


def functions(elf, rows):
    (table,) = [row for name, row in rows if name == ".symtab"]
    strings = rows[table[6]][1][4]
    for at in range(table[4], table[4] + table[5], 16):
        name, value, size, info, _, section = struct.unpack_from("<3IBBH", elf, at)
        if info & 0xF == 2 and size:
            start = strings + name
            yield value, size, elf[start : elf.index(b"\0", start)], section


def rules(elf, rows):
    """The entries of `.debug_frame`: offset, bytes, and the start of the function or `None` of a CIE."""
    (row,) = [row for name, row in rows if name == ".debug_frame"]
    data = elf[row[4] : row[4] + row[5]]
    at = 0
    while at < len(data):
        length, cie, start = struct.unpack_from("<3I", data, at)
        yield at, data[at : at + 4 + length], None if cie == 0xFFFFFFFF else start
        at += 4 + length


def main():
    elf = open(sys.argv[1], "rb").read()
    dump = re.search(rb"STACKDUMP: ([0-9a-f]{8}) ([0-9a-f]+)", open(sys.argv[2], "rb").read())
    stack = bytes.fromhex(dump[2].decode())
    words = {int(dump[1], 16)} | {word for (word,) in struct.iter_unpack("<I", stack[: len(stack) & ~3])}
    rows = sections(elf)
    wanted = {}
    for start, size, name, section in functions(elf, rows):
        # A return address may stand right behind a function that ends in a call.
        if section < len(rows) and any(start <= word <= start + size for word in words):
            row = rows[section][1]
            code = elf[row[4] + start - row[3] :][:size]
            wanted[start] = (name, code)

    frame, moved = b"", {}
    for at, entry, start in rules(elf, rows):
        if start is None:
            moved[at] = len(frame)
            frame += entry
        elif start in wanted:
            (cie,) = struct.unpack_from("<I", entry, 4)
            frame += entry[:4] + struct.pack("<I", moved[cie]) + entry[8:]

    names, strings, symbols = b"\0.text\0.debug_frame\0.symtab\0.strtab\0.shstrtab\0", b"\0", bytes(16)
    body, table = b"", [(0,) * 10]

    def section(name, kind, flags, address, data, link=0, info=0, entry=0):
        nonlocal body
        body += bytes(-len(body) % 4)
        table.append((names.index(name), kind, flags, address, 52 + len(body), len(data), link, info, 4, entry))
        body += data

    for index, start in enumerate(sorted(wanted), 1):
        name, code = wanted[start]
        section(b".text\0", 1, 6, start, code)
        symbols += struct.pack("<3IBBH", len(strings), start, len(code), 0x12, 0, index)
        strings += name + b"\0"
    section(b".debug_frame\0", 1, 0, 0, frame)
    section(b".symtab\0", 2, 0, 0, symbols, len(table) + 1, 1, 16)
    section(b".strtab\0", 3, 0, 0, strings)
    section(b".shstrtab\0", 3, 0, 0, names)
    body += bytes(-len(body) % 4)
    head = b"\x7fELF\1\1\1" + bytes(9)
    head += struct.pack("<2H5I6H", 2, 243, 1, 0, 0, 52 + len(body), 0, 52, 0, 0, 40, len(table), len(table) - 1)
    sys.stdout.buffer.write(head + body + b"".join(struct.pack("<10I", *row) for row in table))


main()
