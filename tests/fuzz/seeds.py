"""Writes files to begin from: `python3 seeds.py FOLDER` fills FOLDER/<target>/.

Partition tables are the vectors; metadata, answers of a server, an image and otadata are made here, sound ones.
"""

import hashlib
import json
import struct
import sys
import zlib
import tomllib
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "partition"
sys.path.insert(0, str(VECTORS))
sys.dont_write_bytecode = True

import esp_idf  # noqa: E402

ROLES = ["root", "timestamp", "snapshot", "targets"]


def metadata():
    """The signed part of each role, version 1, and of the next root."""
    key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "11" * 32}}
    custom = {
        "product": "p", "channels": ["stable"], "chip": "esp32c3", "version": "1.1.0",
        "secure-version": 0, "min-chip-revision": 0, "rollout": {"percent": 50, "seed": "s"},
    }
    target = {"length": 9, "hashes": {"sha256": "ab" * 32, "sha512": "cd" * 64}, "custom": custom}
    own = {
        "root": {
            "consistent_snapshot": True, "keys": {"k": key},
            "roles": {role: {"threshold": 1, "keyids": ["k"]} for role in ROLES},
        },
        "timestamp": {
            "meta": {"snapshot.json": {"version": 1, "length": 9, "hashes": {"sha256": "ab" * 32}}},
            "x-signed-at": "2027-02-01T00:00:00Z",
        },
        "snapshot": {"meta": {"targets.json": {"version": 1}}},
        "targets": {"targets": {"p-esp32c3-1.1.0.bin": target, "folder/file": target}},
    }
    for mode, role in enumerate(ROLES):
        common = {
            "_type": role, "spec_version": "1.0.34", "version": 2 if role == "root" else 1,
            "expires": "2999-01-01T00:00:00Z",
        }
        yield role, bytes([mode]), common | own[role]


def image():
    """An app image of two segments, behind the byte that says how it is judged."""
    descriptor = struct.pack("<II8x32s32s", 0xABCD5432, 0, b"1.2.3", b"product").ljust(256, b"\0")
    segments = [descriptor, b"data" * 5]
    header = struct.pack("<BBBBI8sHBHHIB", 0xE9, len(segments), 2, 0, 0x4200_0000, bytes(8), 5, 0, 0, 0xFFFF, 0, 1)
    body = header + b"".join(struct.pack("<II", 0x3C00_0020, len(data)) + data for data in segments)
    checksum = 0xEF
    for byte in b"".join(segments):
        checksum ^= byte
    body += bytes(15 - len(body) % 16) + bytes([checksum])
    return b"\1" + body + hashlib.sha256(body).digest()


def merged(app):
    """Bootloader, table and app, as tools merge them."""
    rows = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, name, 0)
        for kind, subtype, offset, size, name in [
            (1, 2, 0x9000, 0x5000, b"nvs"), (1, 0, 0xE000, 0x2000, b"otadata"),
            (0, 0x10, 0x10000, 0x10000, b"app0"), (0, 0x11, 0x20000, 0x10000, b"app1"),
        ]
    )
    table = rows + b"\xeb\xeb".ljust(16, b"\xff") + hashlib.md5(rows).digest()
    return b"\1" + app.ljust(0x8000, b"\xff") + table.ljust(0x8000, b"\xff") + app


def inspected():
    """Name and contents of files that are no app images, or were ones."""
    app = image()[1:]
    page = struct.pack("<I", 0) + b"\xfe" + b"\xff" * 19
    page = b"\xfe\xff\xff\xff" + page + struct.pack("<I", zlib.crc32(page, 0xFFFFFFFF))
    elf = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, 0, 52, 0, 0, 52, 32, 0, 40, 0, 0)
    yield "app", app
    yield "padded", app + b"\xff" * 64
    yield "cut", app[:-40]
    yield "headless", app[5:]
    yield "shifted", b"X-Y: 1\r\n\r\n" + app
    yield "elf", elf
    yield "table", merged(app)[1:][0x8000:0x8C00]
    yield "nvs", page.ljust(4096, b"\xff")
    yield "html", b"<!DOCTYPE html><title>404</title>"
    yield "json", b'{"signed":{"_type":"root","x":[1,2,3]}}'
    yield "csv", b"nvs,data,nvs,0x9000,0x5000\n"
    yield "esp8266", bytes([0xE9, 1, 2, 0x40]) + struct.pack("<III", 0x40100000, 0x40100000, 16) + bytes(32)


def otadata(sequences, state):
    """Two slots with images and factory with one, then the entries."""
    entries = b""
    for sequence in sequences:
        crc = zlib.crc32(struct.pack("<I", sequence), 0xFFFFFFFF)
        entries += struct.pack("<I20sII", sequence, b"ok".ljust(20, b"\xff"), state, crc)
    return struct.pack("<HHB", 3, 3, 3) + entries


def answers():
    """What a server says, behind the byte that says in which pieces."""
    body = b"hello"
    yield "length", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n" + body
    yield "close", b"HTTP/1.0 200 OK\r\n\r\n" + body
    yield "missing", b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n" + body
    yield "partial", b"HTTP/1.1 206 P\r\nContent-Length: 5\r\nContent-Range: bytes 4-8/9\r\n\r\n" + body
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n"
    yield "chunked", chunked
    yield "interim", b"HTTP/1.1 100 Continue\r\n\r\n" + chunked * 2


def made():
    """Target, name and contents of what is made here."""
    for role, mode, part in metadata():
        text = json.dumps(part).encode()
        yield "tuf_resigned", role, mode + text
        document = {"signatures": [{"keyid": "k", "sig": "00" * 64}], "signed": part}
        yield "tuf_unsigned", role, mode + json.dumps(document, indent=1).encode()
        yield "tuf_unsigned", f"patch-{role}", bytes([mode[0] | 8]) + b"\0\x10 "
        yield "json", role, text
    for name, said in answers():
        yield "http", name, b"\x03" + said
    yield "app_image", "sound", image()
    yield "inspect", "merged", merged(image()[1:])
    for name, contents in inspected():
        yield "inspect", name, b"\1" + contents
        yield "inspect", f"healed-{name}", b"\0" + contents
    for state in [0, 1, 2, 3, 4, 0xFFFFFFFF]:
        yield "otadata", f"state-{state}", otadata([1, 2], state)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count = {}

    def write(target, name, data):
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        count[target] = count.get(target, 0) + 1

    for path in sorted(VECTORS.glob("*.toml")):
        for vector in tomllib.loads(path.read_text(encoding="utf-8"))["vector"]:
            data = esp_idf.input_bytes(vector)
            target = "partition_binary" if data[:2] == b"\xaa\x50" else "partition_csv"
            write(target, f"{path.stem}-{vector['name']}", data)
    for target, name, data in made():
        write(target, name, data)
    print(", ".join(f"{number} seeds for {target}" for target, number in sorted(count.items())))


if __name__ == "__main__":
    main()
