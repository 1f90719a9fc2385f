"""Writes a repository with python-tuf's Metadata API, one folder for each step of its life.

Usage: python_tuf_repository.py FOLDER   (FOLDER: new; needs tuf and securesystemslib[crypto])

Each step holds the files that are new on the server or changed. What a device that embeds version 1
of the root has to say to each is in `tests/trust/python_tuf_repository.rs`.
"""

import sys
from datetime import datetime, timezone
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

EXPIRES = datetime(2099, 1, 1, tzinfo=timezone.utc)
ROLES = ["root", "timestamp", "snapshot", "targets"]


def ed25519() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


def ecdsa() -> CryptoSigner:
    return CryptoSigner.generate_ecdsa()


class Publisher:
    """What will be written next. `keys` are named by the root; `signers` sign."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root = Root(expires=EXPIRES, consistent_snapshot=True)
        self.root.version = 0
        self.keys: dict[str, list[CryptoSigner]] = {}
        self.signers: dict[str, list[CryptoSigner]] = {}
        self.files: dict[str, bytes] = {}
        self.written: dict[str, bytes] = {}

    def name_keys(self, role: str, threshold: int, keys: list[CryptoSigner]) -> None:
        """Names other keys for a role, and lets so many of them sign as have to."""
        for keyid in list(self.root.roles[role].keyids):
            self.root.revoke_key(keyid, role)
        for signer in keys:
            self.root.add_key(signer.public_key, role)
        self.root.roles[role].threshold = threshold
        self.keys[role] = keys
        self.signers[role] = keys[-threshold:]

    def document(self, signed, role: str) -> bytes:
        metadata = Metadata(signed)
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        # Both ways in which python-tuf writes JSON, turn by turn.
        return metadata.to_bytes(JSONSerializer(compact=signed.version % 2 == 0))

    def publish_root(self, also_signed_by: list[CryptoSigner]) -> None:
        self.root.version += 1
        own = self.signers["root"]
        self.signers["root"] = own + also_signed_by
        self.files[f"metadata/{self.root.version}.root.json"] = self.document(self.root, "root")
        self.signers["root"] = own

    def publish(self, version: int) -> None:
        """Two files, and the three roles that lead to them, under this version."""
        targets = Targets(version=version, expires=EXPIRES)
        plain, nested = f"thermostat-1.{version}.0.bin", "esp32c3/firmware.bin"
        for path, algorithms in [(plain, ["sha256"]), (nested, ["sha256", "sha512"])]:
            data = f"{path} {version}".encode()
            target = TargetFile.from_data(path, data, algorithms)
            # Written as an escape, and signed as it is.
            target.unrecognized_fields["custom"] = {"note": 'größe "\\" 😀\n', "nested": [[], {}]}
            targets.targets[path] = target
            parent, _, name = path.rpartition("/")
            file = f"targets/{parent}/{target.hashes['sha256']}.{name}".replace("//", "/")
            self.files[file] = data
        targets.unrecognized_fields["x-later"] = [None, True, {"b": 1, "a": ""}]
        document = self.document(targets, "targets")
        self.files[f"metadata/{version}.targets.json"] = document
        snapshot = Snapshot(version=version, expires=EXPIRES)
        snapshot.meta["targets.json"] = MetaFile.from_data(version, document, ["sha256", "sha512"])
        document = self.document(snapshot, "snapshot")
        self.files[f"metadata/{version}.snapshot.json"] = document
        timestamp = Timestamp(version=version, expires=EXPIRES)
        timestamp.snapshot_meta = MetaFile.from_data(version, document, ["sha256"])
        self.files["metadata/timestamp.json"] = self.document(timestamp, "timestamp")

    def step(self, name: str) -> None:
        for path, data in self.files.items():
            if self.written.get(path) == data:
                continue
            file = self.folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        self.written = dict(self.files)


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    publisher = Publisher(folder)
    root_key = ed25519()
    publisher.name_keys("root", 1, [root_key])
    publisher.name_keys("timestamp", 1, [ecdsa()])
    publisher.name_keys("snapshot", 1, [ed25519()])
    publisher.name_keys("targets", 1, [ecdsa()])
    publisher.publish_root([])
    publisher.publish(1)
    publisher.step("1-first")

    publisher.publish(2)
    publisher.step("2-release")

    # Two of three of both kinds, in every role.
    first, second, third = ecdsa(), ed25519(), ecdsa()
    publisher.name_keys("root", 2, [first, second, third])
    for role in ROLES[1:]:
        publisher.name_keys(role, 2, [ed25519(), ecdsa(), ed25519()])
    publisher.publish_root([root_key])
    publisher.publish(3)
    publisher.step("3-two-of-three")

    # The third key of every role is lost; the others bring in a new one.
    lost = third
    publisher.name_keys("root", 2, [first, second, ed25519()])
    publisher.signers["root"] = [first, second]
    for role in ROLES[1:]:
        publisher.name_keys(role, 2, [publisher.keys[role][0], publisher.keys[role][1], ecdsa()])
    publisher.publish_root([])
    publisher.publish(4)
    publisher.step("4-lost-keys")

    # Back to the lists of step 3 under the keys of now.
    good = dict(publisher.files)
    publisher.publish(3)
    publisher.step("5-rollback")
    publisher.files = good

    # Whoever finds the lost key is one of those who signed the last root but one, and nobody now.
    publisher.signers["root"] = [lost, second]
    publisher.publish_root([])
    publisher.step("6-found-key")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
