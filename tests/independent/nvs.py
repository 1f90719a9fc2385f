"""NVS partitions of ESP-IDF's generator, with settings merged into them by our tool, read by neither.

Usage: nvs.py MERGE FOLDER   (MERGE: the example `nvs_merge`; esp_idf_nvs_partition_gen has to be installed)

The reader below is written from ESP-IDF's page "NVS: structure of a page". It mends nothing: every
checksum has to be right, every value whole, every key there once.
"""

import binascii
import pathlib
import random
import struct
import subprocess
import sys

PAGE, ENTRY, ENTRIES = 4096, 32, 126
EMPTY, WRITTEN, ERASED = 0b11, 0b10, 0b00
ACTIVE, FULL = 0xFFFFFFFE, 0xFFFFFFFC
NUMBERS = {0x01: "B", 0x11: "b", 0x02: "H", 0x12: "h", 0x04: "I", 0x14: "i", 0x08: "Q", 0x18: "q"}
NAMES = {"B": "u8", "b": "i8", "H": "u16", "h": "i16", "I": "u32", "i": "i32", "Q": "u64", "q": "i64"}
TEXT, PIECE, INDEX = 0x21, 0x42, 0x48

merge, folder = sys.argv[1], pathlib.Path(sys.argv[2])


def crc32(data):
    return binascii.crc32(data, 0xFFFFFFFF)


def read(partition):
    """{(namespace, key): (type, value)}"""
    pages = []
    for at in range(0, len(partition), PAGE):
        page = partition[at : at + PAGE]
        state, sequence, version = struct.unpack("<IIB", page[:9])
        if state == 0xFFFFFFFF:
            assert page == b"\xff" * PAGE, f"the unused page at {at:#x} is not blank"
            continue
        assert state in (ACTIVE, FULL), f"page at {at:#x}: state {state:#x}"
        assert version == 0xFE and crc32(page[4:28]) == struct.unpack("<I", page[28:32])[0]
        pages.append((sequence, state, page))
    pages.sort()
    assert len({sequence for sequence, _, _ in pages}) == len(pages), "two pages have one number"
    assert [state for _, state, _ in pages if state == ACTIVE] in ([], [ACTIVE]), "two active pages"
    assert len(pages) < len(partition) // PAGE, "no page is in reserve"

    namespaces, values, pieces, indices = {}, {}, {}, []
    for _, _, page in pages:
        marks = [page[32 + i // 4] >> (i % 4 * 2) & 0b11 for i in range(ENTRIES)]
        entries = [page[64 + i * ENTRY : 96 + i * ENTRY] for i in range(ENTRIES)]
        i = 0
        while i < ENTRIES:
            if marks[i] != WRITTEN:
                assert marks[i] in (EMPTY, ERASED)
                assert marks[i] == ERASED or entries[i] == b"\xff" * ENTRY, "written and not marked"
                i += 1
                continue
            namespace, kind, span, chunk, crc = struct.unpack("<BBBBI", entries[i][:8])
            assert crc == crc32(entries[i][:4] + entries[i][8:]), "checksum of an entry"
            assert span and all(mark == WRITTEN for mark in marks[i : i + span]) and i + span <= ENTRIES
            key = entries[i][8:24].split(b"\0")[0].decode()
            head, data = entries[i][24:], b"".join(entries[i + 1 : i + span])
            i += span
            if kind in (TEXT, PIECE):
                size, data_crc = struct.unpack("<HxxI", head)
                data = data[:size]
                assert len(data) == size and crc32(data) == data_crc, f"checksum of `{key}`"
            if namespace == 0:
                assert key not in namespaces.values(), f"namespace `{key}` is there twice"
                namespaces[head[0]] = key
                continue
            place = (namespace, key)
            if kind == PIECE:
                assert (place, chunk) not in pieces, f"a piece of `{key}` is there twice"
                pieces[place, chunk] = data
                continue
            if kind == INDEX:
                indices.append((place, *struct.unpack("<IBB", head[:6])))
                continue
            assert place not in values, f"`{key}` is there twice"
            if kind == TEXT:
                assert data.endswith(b"\0")
                values[place] = ("string", data[:-1])
            else:
                form = "<" + NUMBERS[kind]
                values[place] = (NAMES[NUMBERS[kind]], struct.unpack(form, head[: struct.calcsize(form)])[0])
    for place, size, count, first in indices:
        data = b"".join(pieces.pop((place, chunk)) for chunk in range(first, first + count))
        assert len(data) == size and place not in values
        values[place] = ("blob", data)
    assert not pieces, "a piece of no blob"
    return {(namespaces[namespace], key): value for (namespace, key), value in values.items()}


def ask(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)


def generator(*arguments):
    answer = ask(sys.executable, "-m", "esp_idf_nvs_partition_gen", *arguments, cwd=folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def generate(values, name, pages):
    """A partition with these values, by ESP-IDF's generator."""
    rows = ["key,type,encoding,value"]
    for namespace in dict.fromkeys(namespace for namespace, _ in values):
        rows.append(f"{namespace},namespace,,")
        for (other, key), (kind, value) in values.items():
            if other == namespace:
                form = {"string": "string", "blob": "hex2bin"}.get(kind, kind)
                text = value.decode() if kind == "string" else value.hex() if kind == "blob" else value
                rows.append(f"{key},data,{form},{text}")
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    generator("generate", f"{name}.csv", f"{name}.bin", hex(pages * PAGE))
    return (folder / f"{name}.bin").read_bytes()


def merged(name, *settings, code=0):
    after = folder / f"{name}-after.bin"
    after.unlink(missing_ok=True)
    answer = ask(merge, folder / f"{name}.bin", after, *settings)
    said = answer.stdout + answer.stderr
    assert answer.returncode == code, f"exit code {answer.returncode}, not {code}: {said}"
    assert after.exists() == (code == 0)
    return after.read_bytes() if code == 0 else said


def any_value(chance):
    kind = chance.choice([*NAMES.values(), "string", "blob"])
    if kind == "string":
        return kind, bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz 0123456789", k=chance.randrange(1, 300)))
    if kind == "blob":
        return kind, chance.randbytes(chance.choice([1, 31, 32, 33, 500, 1904, 5000]))
    bits = int(kind[1:])
    low = -(1 << bits - 1) if kind[0] == "i" else 0
    return kind, chance.randrange(low, low + (1 << bits))


folder.mkdir(parents=True, exist_ok=True)
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
chance = random.Random(seed)
OURS = [("esp_ota", key) for key in ("wifi_ssid", "wifi_psk", "url", "channel", "poll_s")]
OLD = {
    OURS[0]: ("string", b"Workshop"),
    OURS[1]: ("string", b"correct horse battery"),
    OURS[2]: ("string", b"https://updates.example.com/thermostat"),
    OURS[3]: ("string", b"beta"),
    OURS[4]: ("u32", 900),
}

rounds, sectors = 60, {}
for round in range(rounds):
    others = {
        (chance.choice(["app", "phy", "nvs.net80211", "esp_ota_st", "esp_ota"]), f"key{at}"): any_value(chance)
        for at in range(chance.randrange(60))
    }
    old = OLD if round % 2 else {}
    pages = 4 + sum(64 + len(value) if isinstance(value, bytes) else 32 for _, value in others.values()) // 2000
    before = generate({**others, **old}, "random", pages)
    assert read(before) == {**others, **old}, "the reader reads what the generator writes"
    if round % 3:
        psk = "".join(chance.choices("abcdefgh !~0123", k=chance.randrange(8, 64)))
        after = merged("random", "wifi_ssid=Attic", f"wifi_psk={psk}", "poll_s=60")
        ours = {OURS[0]: ("string", b"Attic"), OURS[1]: ("string", psk.encode()), OURS[4]: ("u32", 60)}
        expected = {**others, **old, **ours}
    else:
        after = merged("random", "wifi_ssid=Attic", "channel=stable")
        expected = {**others, **old, OURS[0]: ("string", b"Attic"), OURS[3]: ("string", b"stable")}
        expected.pop(OURS[1], None)
    assert read(after) == expected, f"seed {seed}, round {round}"
    assert b"correct horse battery" not in after, "the old passphrase can still be read"
    changed = sum(before[at : at + PAGE] != after[at : at + PAGE] for at in range(0, len(before), PAGE))
    sectors[changed] = sectors.get(changed, 0) + 1
    # The generator's own partition of the same values says the same.
    assert read(generate(expected, "same", pages)) == expected

blank = b"\xff" * (5 * PAGE)
(folder / "blank.bin").write_bytes(blank)
everything = [f"{key}={value.decode() if kind == 'string' else value}" for (_, key), (kind, value) in OLD.items()]
assert read(merged("blank", *everything)) == OLD

generate({**OLD, ("app", "key"): ("u8", 1)}, "plain", 5)
generator("generate-key", "--keyfile", "keys.bin")
keys = folder / "keys" / "keys.bin"
generator("encrypt", "plain.csv", "encrypted.bin", hex(5 * PAGE), "--inputkey", keys if keys.exists() else "keys.bin")
said = merged("encrypted", *everything, code=1)
assert "encrypted" in said, said

print(f"NVS: {rounds} partitions of ESP-IDF's generator, merged and read; sectors that changed: {dict(sorted(sectors.items()))}")
