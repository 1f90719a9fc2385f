"""Polls a published repository with python-tuf's own client, until a file named STOP appears.

Usage: reader.py URL ROOT.json FOLDER CA.pem   (FOLDER: new; the client's memory, and STOP)

The client keeps what it has seen, so a number that goes backwards is an error, and every listed
image is downloaded and compared with its hash. `<chip>/firmware.bin` has to be one of the listed
images, whole, wherever it is there.
"""

import hashlib
import os
import sys
import urllib.error
import urllib.request

url, root, folder, ca = sys.argv[1:5]
os.environ["SSL_CERT_FILE"] = ca  # OpenSSL's own variable: the only roots this process trusts

from tuf.ngclient import Updater  # noqa: E402


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def look():
    """One poll of a device: the client, after it has seen and proven everything."""
    updater = Updater(
        metadata_dir=folder + "/metadata",
        metadata_base_url=url + "/metadata/",
        target_dir=folder + "/targets",
        target_base_url=url + "/targets/",
        bootstrap=open(root, "rb").read(),
    )
    updater.refresh()
    listed = updater._trusted_set.targets.targets
    for info in listed.values():
        updater.find_cached_target(info) or updater.download_target(info)
    return updater._trusted_set.timestamp.version, {it.hashes["sha256"] for it in listed.values()}


opener = urllib.request.build_opener(NoRedirect)
os.makedirs(folder + "/metadata")
os.makedirs(folder + "/targets")
polls, versions = 0, set()
while not os.path.exists(folder + "/STOP"):
    version, images = look()
    try:
        with opener.open(url + "/esp32c3/firmware.bin") as answer:
            image = answer.read()
            assert answer.headers["Content-Length"] == str(len(image))
        digest = hashlib.sha256(image).hexdigest()
        # It may have been published since the list was read.
        assert digest in images or digest in look()[1], "firmware.bin is no listed image"
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
    polls += 1
    versions.add(version)
print(f"{polls} polls, {len(versions)} states of the repository, no error")
assert polls > 0
