"""Downloads the newest release of a published repository with python-tuf's own client.

Usage: python_tuf.py URL ROOT.json TARGET CA.pem   (TARGET: the target's path in the metadata)
"""

import hashlib
import os
import sys
import tempfile

url, root, target, ca = sys.argv[1:5]
os.environ["SSL_CERT_FILE"] = ca  # OpenSSL's own variable: the only roots this process trusts

from tuf.ngclient import Updater  # noqa: E402

with tempfile.TemporaryDirectory() as folder:
    updater = Updater(
        metadata_dir=os.path.join(folder, "metadata"),
        metadata_base_url=url + "/metadata/",
        target_dir=folder,
        target_base_url=url + "/targets/",
        bootstrap=open(root, "rb").read(),
    )
    updater.refresh()
    info = updater.get_targetinfo(target)
    assert info is not None, f"{target} is not in the metadata"
    path = updater.download_target(info)
    data = open(path, "rb").read()
    print(f"{target}: {len(data)} bytes, {hashlib.sha256(data).hexdigest()}")
    assert updater.get_targetinfo("thermostat-esp32c3-9.9.9.bin") is None
