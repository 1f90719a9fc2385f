"""Asks ESP-IDF's gen_esp32part.py what it makes of every vector, and writes that into the files.

Usage: python3 esp_idf.py GEN_ESP32PART.PY [--check]

The script is the reader's own copy of it; nothing of it is in this repository. Its answers are the lines
`esp-idf` and `sha256` of each vector: this program writes nothing else. With --check it writes nothing at
all and exits 1 where a file says something else.
"""

import contextlib
import copy
import hashlib
import importlib.util
import io
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

ENCODINGS = {name: name for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}


def load(path):
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("gen_esp32part", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gen_esp32part"] = module
    spec.loader.exec_module(module)
    return module


def input_bytes(vector):
    """The file that a vector is about."""
    if "csv" in vector:
        return vector["csv"].encode(ENCODINGS[vector.get("encoding", "utf-8")])
    data = b""
    for word in " ".join(vector["hex"]).split():
        digits, _, count = word.partition("*")
        data += bytes.fromhex(digits) * int(count or 1)
    return data


def split(entries):
    """A CMake list, as ESP-IDF's build hands it over."""
    return [entry.strip() for entry in entries.split(";") if entry.strip()]


def ask(gen, data, options):
    """Its verdict, its complaint, and the binary table if there is one."""
    # The script keeps these from one call to the next.
    gen.primary_bootloader_offset = None
    gen.recovery_bootloader_offset = None
    subtypes = copy.deepcopy(gen.SUBTYPES)
    environment = dict(os.environ)
    os.environ.clear()
    os.environ.update(options.get("variables", {}))
    try:
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "output")
            gen.run_gen(
                io.BytesIO(data),
                output,
                flash_size=options.get("flash-size"),
                quiet_flag=True,
                offset=options.get("table-offset", 0x8000),
                primary_bootloader_offset_arg=options.get("primary-bootloader-offset"),
                recovery_bootloader_offset_arg=options.get("recovery-bootloader-offset"),
                secure_arg=options.get("secure-boot"),
                extra_partition_subtypes=split(options.get("extra-partition-subtypes", "")),
            )
            written = Path(output).read_bytes()
        if data[:2] == b"\xaa\x50":
            # It wrote a CSV. The table it read is encoded again, if it has room for it.
            table = gen.PartitionTable.from_binary(data)
            try:
                written = table.to_binary()
            except gen.InputError:
                written = None
        return True, "", written
    except Exception as error:  # whatever stops the script is a refusal
        return False, f"{type(error).__name__}: {error}", None
    finally:
        gen.SUBTYPES.clear()
        gen.SUBTYPES.update(subtypes)
        os.environ.clear()
        os.environ.update(environment)


def rewrite(text, answers):
    """The text of a file with the lines `esp-idf` and `sha256` replaced, vector by vector."""
    head, *vectors = re.split(r"^(?=\[\[vector\]\]$)", text, flags=re.MULTILINE)
    assert len(vectors) == len(answers)
    done = [head]
    for vector, (accepts, _, binary) in zip(vectors, answers):
        vector, count = re.subn(r"^esp-idf = .*$", f"esp-idf = {str(accepts).lower()}", vector, flags=re.MULTILINE)
        assert count == 1, vector
        vector = re.sub(r"^sha256 = .*\n", "", vector, flags=re.MULTILINE)
        if binary is not None:
            line = f'sha256 = "{hashlib.sha256(binary).hexdigest()}"\n'
            vector = vector.rstrip("\n") + "\n" + line + "\n"
        done.append(vector)
    return "".join(done).rstrip("\n") + "\n"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    check = "--check" in sys.argv[2:]
    gen = load(sys.argv[1])
    vectors = accepted = 0
    outdated = []
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        answers = []
        with contextlib.redirect_stderr(io.StringIO()):
            for vector in tomllib.loads(text)["vector"]:
                answers.append(ask(gen, input_bytes(vector), vector.get("options", {})))
        vectors += len(answers)
        accepted += sum(accepts for accepts, _, _ in answers)
        new = rewrite(text, answers)
        if new != text:
            outdated.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    print(f"{vectors} vectors: {accepted} accepted, {vectors - accepted} refused by gen_esp32part.py")
    if outdated:
        print(("differ: " if check else "written: ") + ", ".join(outdated))
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
