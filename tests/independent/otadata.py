"""Checks the otadata of a flash dump against ESP-IDF's definition, with no code of ours.

Usage: otadata.py FLASH.bin SLOT   (SLOT: the index that has to boot)

esp_ota_select_entry_t: u32 sequence, 20 bytes label, u32 state, u32 CRC over the sequence alone
(esp_rom_crc32_le(UINT32_MAX, &seq, 4), which is zlib's crc32 with the start value 0xFFFFFFFF).
"""

import binascii
import struct
import sys

OTADATA, SECTOR, SLOTS = 0xE000, 0x1000, 2
NAMES = {0: "NEW", 1: "PENDING_VERIFY", 2: "VALID", 3: "INVALID", 4: "ABORTED"}

flash = open(sys.argv[1], "rb").read()
best = None
for index in range(2):
    at = OTADATA + index * SECTOR
    sequence, label, state, crc = struct.unpack("<I20sII", flash[at : at + 32])
    good = crc == binascii.crc32(struct.pack("<I", sequence), 0xFFFFFFFF) and sequence != 0xFFFFFFFF
    print(f"entry {index}: seq {sequence:#x} {NAMES.get(state, hex(state))} {label!r} crc {'good' if good else 'bad'}")
    assert flash[at + 32 : at + SECTOR] == b"\xff" * (SECTOR - 32), "the rest of the sector is not erased"
    if good and state not in (3, 4) and (best is None or sequence > best):
        best = sequence
assert best is not None, "no entry selects a slot"
found = (best - 1) % SLOTS
assert found == int(sys.argv[2]), f"slot {found} boots, not {sys.argv[2]}"
