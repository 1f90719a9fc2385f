"""Asks ESP-IDF's own bootloader which partition it would start.

Usage: esp_idf.py BOOTLOADER_SUPPORT [CASES [SEED]] > choices.txt

BOOTLOADER_SUPPORT: `components/bootloader_support` of a copy of ESP-IDF. The functions that choose and
load a slot are cut out of its source, compiled twice with gcc (app rollback off and on) around
`harness.c`, and asked. The first cases are one for each branch, the others random.
"""

import binascii
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

BLANK = b"\xff" * 32
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF
SEQUENCES = [0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 255, 256, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF]
STATES = [NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED, 5, 0xFFFFFFF0, 0x100]
LABELS = [b"", b"", b"", b"install", b"trial", b"ok", b"\0" * 20, b"another tool's"]
USUAL = ["otadata,ota_0,ota_1", "otadata,factory,ota_0,ota_1", "otadata,ota_0,ota_1,ota_2"]
TABLES = USUAL * 4 + [
    "otadata,factory,ota_0,ota_1,test",
    "otadata,factory,ota_0,ota_1,ota_2",
    "otadata,ota_0,ota_2",
    "otadata,factory,ota_0,ota_2",
    "otadata,ota_1,ota_2",
    "otadata,ota_1",
    "otadata,ota_0",
    "otadata,factory,ota_1",
    "otadata,factory",
    "otadata,test",
    "ota_0,ota_1",
    "factory,ota_0,ota_1",
    "otadata,ota_1,ota_0",
    "otadata,ota_0,ota_0,ota_1",
    "otadata,factory,factory,ota_0,ota_1",
    "otadata," + ",".join(f"ota_{index}" for index in range(16)),
    "otadata,factory," + ",".join(f"ota_{index}" for index in range(0, 16, 3)),
]


def crc(sequence):
    return binascii.crc32(struct.pack("<I", sequence), 0xFFFFFFFF)


def entry(sequence, state, label=b"", check=None):
    check = crc(sequence) if check is None else check
    return struct.pack("<I", sequence) + label.ljust(20, b"\xff") + struct.pack("<II", state, check)


def branches():
    """One case for each way through the bootloader's code."""
    two, factory = USUAL[0], USUAL[1]
    torn = entry(2, VALID, check=0)
    for table in (two, factory, "ota_0,ota_1", "factory,ota_0,ota_1", "otadata,factory", "otadata,test", "otadata,ota_1"):
        yield table, BLANK, BLANK, None
    for table in (two, factory):
        for state in STATES:
            yield table, entry(1, VALID), entry(2, state), None
            yield table, entry(2, state), entry(1, state), None
            yield table, BLANK, entry(2, state), None
        yield table, torn, BLANK, None
        yield table, torn, torn, None
        yield table, torn, entry(1, VALID), None
        yield table, entry(2, ABORTED), entry(3, INVALID), None
        yield table, entry(4, VALID), entry(4, NEW), None
        yield table, entry(0, VALID), BLANK, None
        yield table, entry(0xFFFFFFFE, VALID), entry(1, VALID), None
        yield table, entry(0xFFFFFFFF, VALID), BLANK, None
    for bootable in ("1101", "1011", "1001", "1010", "1000"):
        yield factory, entry(1, VALID), entry(2, NEW), bootable
        yield factory, BLANK, BLANK, bootable
    for bootable in ("100", "101", "110"):
        yield two, BLANK, BLANK, bootable
        yield two, torn, BLANK, bootable
    yield "otadata,ota_0,ota_2", entry(2, VALID), BLANK, None
    yield "otadata,ota_0,ota_2", entry(3, VALID), BLANK, None
    yield "otadata,factory,ota_0,ota_1,test", entry(2, VALID), BLANK, "10001"
    yield "otadata,ota_0,ota_0,ota_1", entry(3, VALID), BLANK, None


def random_entry():
    kind = random.random()
    if kind < 0.15:
        return BLANK
    if kind < 0.2:
        return random.randbytes(32)
    sequence = random.choice(SEQUENCES) if kind < 0.6 else random.randrange(1, 9)
    checks = [crc(sequence)] * 17 + [0, 0xFFFFFFFF, crc(sequence ^ 1)]
    written = entry(sequence, random.choice(STATES), random.choice(LABELS), random.choice(checks))
    # A torn write: some bits are not programmed yet.
    return bytes(byte | random.randrange(256) for byte in written) if random.random() < 0.05 else written


def random_cases():
    while True:
        table = random.choice(TABLES)
        first, second = random_entry(), random_entry()
        bootable = "".join(random.choice("11110") for _ in table.split(","))
        yield table, first, random.choice([second] * 19 + [first]), random.choice([bootable, None])


def function(text, head):
    """A function, or a run of lines, from its first line to its closing brace."""
    start = text.index(head)
    return text[start : text.index("\n}\n", start) + 3]


def build(support, folder):
    read = lambda path: (support / path).read_text()
    types = "".join(
        re.sub(r"#include[^\n]*", "", re.sub(r"#ifdef __cplusplus.*?#endif", "", read(path), flags=re.S))
        for path in ("include/esp_flash_partitions.h", "private_include/bootloader_config.h")
    )
    loader, utility = read("src/bootloader_common_loader.c"), read("src/bootloader_utility.c")
    choice = [
        function(loader, "uint32_t bootloader_common_ota_select_crc("),
        function(loader, "bool bootloader_common_ota_select_invalid("),
        function(loader, "bool bootloader_common_ota_select_valid("),
        function(loader, "int bootloader_common_select_otadata("),
        function(loader, "int bootloader_common_get_active_otadata("),
        function(utility, "esp_err_t bootloader_common_read_otadata("),
        utility[
            utility.index("bool bootloader_utility_load_partition_table(") : utility.index(
                "// Copy loaded segments to RAM"
            )
        ],
    ]
    (folder / "types.inc").write_text(types)
    (folder / "choice.inc").write_text("\n".join(choice))
    harness = pathlib.Path(__file__).with_name("harness.c")
    for name, flags in (("off", []), ("on", ["-DCONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"])):
        subprocess.run(["gcc", "-w", "-I", folder, *flags, "-o", folder / name, harness], check=True)


def main():
    support = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 700
    random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    cases = {}
    more = random_cases()
    for source in (branches(), (next(more) for _ in iter(int, 1))):
        for table, first, second, bootable in source:
            bootable = bootable or "1" * len(table.split(","))
            cases.setdefault(f"{table} {first.hex()} {second.hex()} {bootable}")
            if len(cases) >= count:
                break
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        build(support, folder)
        asked = "".join(case + "\n" for case in cases)
        answers = [
            subprocess.run([folder / name], input=asked, capture_output=True, text=True, check=True).stdout.splitlines()
            for name in ("off", "on")
        ]
    for case, off, on in zip(cases, *answers, strict=True):
        print(case, off, on)


main()
