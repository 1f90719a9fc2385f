"""Compares our reader with ESP-IDF's gen_esp32part.py on random tables: verdict and bytes.

Usage: partition_tables.py GEN_ESP32PART.PY PARTITION_VERDICTS [TABLES] [SEED]

GEN_ESP32PART.PY is the reader's own copy of ESP-IDF's script; PARTITION_VERDICTS is
`cargo build --example partition_verdicts`. The tables are made of the pieces of tests/vectors/partition/:
their rows and fields in new company, with slips of the keyboard. Exits 1 if the two disagree on one.
"""

import contextlib
import hashlib
import io
import json
import random
import re
import subprocess
import sys
import tomllib
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "partition"
sys.path.insert(0, str(VECTORS))
sys.dont_write_bytecode = True

import esp_idf  # noqa: E402

VARIABLES = {"SIZE": "0x1000", "ROW": "x, data, phy", "EMPTY": "", "NAME": "mine", "REF": "$SIZE"}
SLIPS = list(",,::##$$__--0123456789abcdefxXkKmM \t\n\r\x0b\x0c\x1c\x1f\x00{}\"\\") + [
    "${SIZE}", "\u00e4", "\u3000", "\u2028", "\u0085", "\ufeff", "\u212a", "\uff11", "0x", "0b", "0o",
]  # fmt: skip
ENDS = ["\n"] * 20 + ["\r\n", "\r", "\x0b", "\u2028"]


class Pieces:
    """Everything that the vectors consist of."""

    def __init__(self):
        self.rows, self.columns, self.binaries = [], [[] for _ in range(6)], []
        for path in sorted(VECTORS.glob("*.toml")):
            for vector in tomllib.loads(path.read_text(encoding="utf-8"))["vector"]:
                if "csv" not in vector:
                    self.binaries.append(esp_idf.input_bytes(vector))
                elif vector["csv"].count("\n") < 30:
                    for row in vector["csv"].splitlines():
                        self.rows.append(row)
                        for column, field in zip(self.columns, row.split(",")):
                            column.append(field)


def csv(pieces, rnd):
    """A CSV in some encoding."""
    wild = rnd.choice([0, 0.02, 0.05, 0.2])
    rows = []
    slot = 0
    for index in range(rnd.choice([1, 2, 3, 4, 5, 6, 8, 12, 20])):
        if rnd.random() < 0.25:
            rows.append(rnd.choice(pieces.rows))
            continue
        kind = rnd.choice(["app", "data", "data", "data"])
        subtype = rnd.choice(["nvs", "phy", "fat", "spiffs", "coredump", "", "0x99", "littlefs"])
        size = rnd.choice(["0x3000", "0x5000", "64K", "0x10000", "0x1004"])
        if kind == "app":
            subtype, slot = f"ota_{slot % 16}", slot + 1
            size = rnd.choice(["1M", "64K", "0x20000", "0x11000"])
        fields = [f"p{index}", kind, subtype, "", size, ""]
        for at, column in enumerate(pieces.columns):
            if rnd.random() < wild:
                fields[at] = rnd.choice(column)
        rows.append(rnd.choice([",", ", ", " ,\t"]).join(fields))
    if rnd.random() < 0.05:
        rnd.shuffle(rows)
    text = rnd.choice(ENDS).join(rows) + rnd.choice(["\n", ""])
    for _ in range(rnd.choice([0, 0, 0, 1, 2, 5])):
        at = rnd.randrange(len(text) + 1)
        text = text[:at] + rnd.choice(["", rnd.choice(SLIPS)]) + text[at + rnd.choice([0, 1]) :]
    encoding = rnd.choice(["utf-8"] * 20 + ["utf-8-sig", "utf-16", "utf-32"])
    return text.encode(encoding, "surrogatepass")


def binary(pieces, rnd):
    """A binary table, damaged."""
    data = bytearray(rnd.choice(pieces.binaries))
    if rnd.random() < 0.3:
        rows = [bytes(data[at : at + 32]) for at in range(0, len(data), 32)]
        row = rnd.randrange(len(rows))
        rows[row:row] = [bytes(rnd.choice(pieces.binaries)[:32])]
        data = bytearray(b"".join(rows))
    for _ in range(rnd.choice([0, 1, 1, 2])):
        at = rnd.randrange(min(len(data), 200))
        data[at] = rnd.choice([0, 1, 0xFF, data[at] ^ 1 << rnd.randrange(8)])
    if rnd.random() < 0.1:
        del data[rnd.randrange(len(data)) :]
    if rnd.random() < 0.5:
        # A digest that is right again, so that what it protects is looked at.
        found = data.find(b"\xeb\xeb" + b"\xff" * 14)
        if found > 0 and found % 32 == 0:
            data[found + 16 : found + 32] = hashlib.md5(data[:found]).digest()
    return bytes(data)


def options(rnd):
    """Options as `esp_idf.ask` takes them."""
    chosen = {"variables": VARIABLES}
    if rnd.random() < 0.3:
        chosen["flash-size"] = f"{rnd.choice([1, 2, 4, 8, 16])}MB"
    if rnd.random() < 0.15:
        chosen["table-offset"] = rnd.choice([0x9000, 0x10000, 0xD000, 0x8100, 0x0, 0xFFFFF000])
    if rnd.random() < 0.2:
        chosen["secure-boot"] = rnd.choice(["v1", "v2"])
    if rnd.random() < 0.4:
        chosen["primary-bootloader-offset"] = rnd.choice([0, 0x1000, 0x2000, 0x7000, 0x8000])
    if rnd.random() < 0.2:
        chosen["recovery-bootloader-offset"] = rnd.choice([0x1000, 0x9000, 0x300000, 0x3F0000])
    return chosen


def question(data, chosen):
    """The same for `partition_verdicts`."""
    asked = {"table-offset": 0x8000, **chosen, "table": data.hex()}
    if "flash-size" in chosen:
        asked["flash-size"] = int(re.sub("MB", "", chosen["flash-size"])) << 20
    return json.dumps(asked)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    gen = esp_idf.load(sys.argv[1])
    tables = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    rnd = random.Random(seed)
    pieces = Pieces()

    cases, asked = [], []
    with contextlib.redirect_stderr(io.StringIO()):
        for _ in range(tables):
            data = binary(pieces, rnd) if rnd.random() < 0.2 else csv(pieces, rnd)
            chosen = options(rnd)
            cases.append((data, chosen, esp_idf.ask(gen, data, chosen)))
            asked.append(question(data, chosen))
    answers = subprocess.run(
        [sys.argv[2]], input="\n".join(asked), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(answers) == tables

    accepted = compared = disagree = 0
    for (data, chosen, (accepts, complaint, written)), line in zip(cases, answers):
        answer = json.loads(line)
        accepted += accepts
        wrong = answer["accepts"] != accepts
        if accepts and not wrong and data[:2] != b"\xaa\x50":
            compared += 1
            wrong = answer["table"] != written.hex()
        if wrong:
            disagree += 1
            if disagree <= 10:
                print(f"{data!r}\n  options: {chosen}\n  ESP-IDF: {accepts} {complaint}\n  ours: {answer['findings']}")
    print(
        f"seed {seed}: {tables} tables, {accepted} accepted and {tables - accepted} refused by gen_esp32part.py, "
        f"{compared} binary tables compared, {disagree} disagreements"
    )
    return 1 if disagree else 0


if __name__ == "__main__":
    sys.exit(main())
