"""Writes the vectors as files to begin from: `python3 seeds.py FOLDER` fills FOLDER/<target>/."""

import sys
import tomllib
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "partition"
sys.path.insert(0, str(VECTORS))
sys.dont_write_bytecode = True

import esp_idf  # noqa: E402


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count = {}
    for path in sorted(VECTORS.glob("*.toml")):
        for vector in tomllib.loads(path.read_text(encoding="utf-8"))["vector"]:
            data = esp_idf.input_bytes(vector)
            target = "partition_binary" if data[:2] == b"\xaa\x50" else "partition_csv"
            folder = Path(sys.argv[1]) / target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{path.stem}-{vector['name']}").write_bytes(data)
            count[target] = count.get(target, 0) + 1
    print(", ".join(f"{number} seeds for {target}" for target, number in sorted(count.items())))


if __name__ == "__main__":
    main()
