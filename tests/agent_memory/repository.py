"""Writes the metadata of 50 releases with python-tuf, each as `publish` describes it.

Usage: repository.py ed25519|ecdsa FOLDER
"""

import datetime
import hashlib
import pathlib
import sys

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

RELEASES = 50
EXPIRES = datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)
kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
make = {"ed25519": CryptoSigner.generate_ed25519, "ecdsa": CryptoSigner.generate_ecdsa}[kind]
signers = {role: make() for role in ("root", "timestamp", "snapshot", "targets")}


def release(number):
    version = f"1.{number}.0"
    digest = hashlib.sha256(version.encode()).hexdigest()
    custom = {
        "product": "thermostat",
        "channels": ["stable"],
        "chip": "esp32c3",
        "version": version,
        "version-source": "app-descriptor",
        "secure-version": 0,
        "min-chip-revision": 0,
        "rollout": {"percent": 100, "seed": digest[:16]},
        "roots": [digest],
        "agent": digest,
        "caps": {"root": 7168, "timestamp": 4096, "snapshot": 8192, "targets": 65536},
    }
    name = f"thermostat-esp32c3-{version}.bin"
    return name, TargetFile(1_000_000, {"sha256": digest}, name, {"custom": custom})


def write(role, signed):
    metadata = Metadata(signed)
    metadata.sign(signers[role])
    data = metadata.to_bytes(JSONSerializer(compact=True))
    (folder / ("timestamp.json" if role == "timestamp" else f"1.{role}.json")).write_bytes(data)
    return MetaFile(1, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


folder.mkdir(parents=True, exist_ok=True)
root = Root(expires=EXPIRES, consistent_snapshot=True)
for role, signer in signers.items():
    root.add_key(signer.public_key, role)
write("root", root)
listed = write("targets", Targets(expires=EXPIRES, targets=dict(map(release, range(1, RELEASES + 1)))))
listed = write("snapshot", Snapshot(expires=EXPIRES, meta={"targets.json": listed}))
write("timestamp", Timestamp(expires=EXPIRES, snapshot_meta=listed))
