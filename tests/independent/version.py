"""Writes an app image with another version: its text, the checksum and the SHA-256 at the end.

Usage: version.py IMAGE.bin VERSION OUT.bin
"""

import hashlib
import sys

source, version, out = sys.argv[1:4]
image = bytearray(open(source, "rb").read())
# After the image's header and that of the first segment: the app descriptor, its version at 16.
assert image[32:36] == b"\x32\x54\xcd\xab", "no app descriptor"
new = version.encode().ljust(32, b"\0")
for at, byte in enumerate(new, 48):
    image[-33] ^= image[at] ^ byte
    image[at] = byte
image[-32:] = hashlib.sha256(image[:-32]).digest()
open(out, "wb").write(image)
