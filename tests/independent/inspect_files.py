"""Compares `inspect` with esptool and espsecure, on files that these tools make.

Usage: inspect_files.py CARGO-ESP-OTA FOLDER   (FOLDER: what `demo --keep` leaves; needs esptool 5)

Of every image both say the same: segments and their memory, checksum, digest, header, descriptor.
What the tools make of an app image (padded, merged, signed, encrypted, UF2, ...) is called what it is.
espflash's bootloaders are asked for too, where cargo has its source.
"""

import contextlib
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import esptool
import espsecure
from esptool.bin_image import LoadFirmwareImage
from esptool.targets import CHIP_DEFS

TOOL, KEPT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
ELF = KEPT / "thermostat-1.1.0.elf"
APP = KEPT / "thermostat/target/esp-ota/thermostat-esp32c3-1.1.0.bin"
SCRATCH = tempfile.TemporaryDirectory()
WORK = Path(SCRATCH.name)  # outside of any project
# esptool's names of memory, in ours. A chip with one bus has several of them for one address.
MEMORY = {
    "flash-data": {"DROM"}, "flash-code": {"IROM"}, "flash": {"DROM", "IROM"},
    "data-ram": {"DRAM", "BYTE_ACCESSIBLE"}, "code-ram": {"IRAM", "CACHE_APP", "CACHE_PRO", "DIRAM_IRAM"},
    "ram": {"DRAM", "IRAM"}, "rtc-ram": {"RTC_DRAM", "RTC_IRAM", "RTC_DATA"}, "padding": {"PADDING"},
}
compared = 0


def ask(path, code, *arguments):
    """What `inspect` says of a file, with the exit code it has to have."""
    command = [TOOL, "inspect", str(path), "--format", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=WORK)
    assert done.returncode == code, f"{path}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def quietly(function, *arguments):
    """Runs a command of esptool or espsecure in this process, without its words."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            function([str(it) for it in arguments])
    except SystemExit as exit:
        assert not exit.code, words.getvalue()


def compare(path):
    """Both readings of one image, field by field."""
    global compared
    data = Path(path).read_bytes()
    chip_id = struct.unpack_from("<H", data, 12)[0]
    chip = next(name for name, it in CHIP_DEFS.items() if getattr(it, "IMAGE_CHIP_ID", None) == chip_id)
    theirs = LoadFirmwareImage(chip, data)
    report = ask(path, 0 if is_app(theirs) else 1)
    ours = report["image"]
    assert report["sha256"] == hashlib.sha256(data).hexdigest(), path
    header = ours["header"]
    sizes = {value: name for name, value in theirs.ROM_LOADER.FLASH_SIZES.items()}
    speeds = {}
    for name, value in theirs.ROM_LOADER.FLASH_FREQUENCY.items():
        speeds.setdefault(value, name)
    modes = ["qio", "qout", "dio", "dout"]
    expected = {
        "chip-id": theirs.chip_id, "segment-count": len(theirs.segments), "entry": theirs.entrypoint,
        "flash-mode": modes[theirs.flash_mode], "flash-size": sizes[theirs.flash_size_freq & 0xF0],
        "flash-frequency": speeds[theirs.flash_size_freq & 0x0F] if report["chip"] else None,
        "min-chip-revision": theirs.min_rev_full, "max-chip-revision": theirs.max_rev_full,
        "hash-appended": bool(theirs.append_digest),
    }
    assert header == expected, f"{path}\n{header}\n{expected}"
    for mine, their in zip(ours["segments"], theirs.segments, strict=True):
        place = (mine["address"], mine["length"], mine["offset"] - 8)
        assert place == (their.addr, len(their.data), their.file_offs), path
        kinds = set(their.get_memory_type(theirs))
        if report["chip"] and kinds:  # esptool does not know all memory of an ESP32-P4
            assert MEMORY[mine["memory"]] & kinds, f"{path}: {mine} is {kinds}"
    assert ours["checksum"]["stored"] == theirs.checksum, path
    assert ours["checksum"]["computed"] == theirs.calculate_checksum(), path
    assert ours["digest"]["stored"] == theirs.stored_digest.hex(), path
    assert ours["digest"]["computed"] == theirs.calc_digest.hex(), path
    assert ours["length"] == theirs.data_length + 32, path
    if is_app(theirs):
        theirs = esptool.cmds._parse_app_info(theirs.segments[0].data)
        mine = ours["descriptor"]
        assert mine["project"] == theirs["project_name"] and mine["version"] == theirs["version"], path
        assert mine["built"] == f"{theirs['date']} {theirs['time']}", path
        assert mine["idf-version"] == theirs["idf_ver"], path
        assert mine["elf-sha256"] == theirs["app_elf_sha256"], path
        assert str(mine["secure-version"]) == str(theirs["secure_version"]), path
    else:
        assert report["kind"] == "bootloader-image", report["kind"]
    compared += 1


def is_app(image):
    return image.segments[0].data[:4] == struct.pack("<I", 0xABCD5432)


def esptool_refuses(path):
    try:
        quietly(esptool.main, "image-info", path)
    except (esptool.FatalError, AssertionError):
        return True
    return False


def file(name, data):
    (WORK / name).write_bytes(data)
    return WORK / name


def says(path, kind, problem, code=1, *arguments):
    report = ask(path, code, *arguments)
    found = (report["kind"], [it["code"] for it in report["problems"]])
    assert found == (kind, [problem] if problem else []), f"{path}: {found}"
    return report


app = APP.read_bytes()
images = sorted((KEPT / "thermostat/target/esp-ota").glob("*.bin"))
cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
images += sorted(cargo.glob("registry/src/*/espflash-4.*/resources/bootloaders/esp32*-bootloader.bin"))
for image in images:
    compare(image)
print(f"{compared} images read alike, {len(images) - 4} of them bootloaders")

# What esptool makes of the same program is an app image, too.
quietly(esptool.main, "--chip", "esp32c3", "elf2image", "-o", WORK / "elf2image.bin", ELF)
says(WORK / "elf2image.bin", "app-image", None, 0, "--chip", "esp32c3")
compare(WORK / "elf2image.bin")
says(WORK / "elf2image.bin", "app-image", "other-chip", 1, "--chip", "esp32c6")

# Files made of an app image.
table = file("table.bin", (KEPT / "flash-2-updated.bin").read_bytes()[0x8000:0x8C00])
boot = next((it for it in images if it.name == "esp32c3-bootloader.bin"), None)
merge = ["--chip", "esp32c3", "merge-bin", "-o"]
parts = [*([0, boot] if boot else []), "0x8000", table, "0x10000", APP]
quietly(esptool.main, *merge, WORK / "merged.bin", *parts)
flash = says(WORK / "merged.bin", "merged-flash", "merged-flash")["flash"]
assert [(it["name"], it["content"]) for it in flash["apps"]] == [("ota_0", "intact"), ("ota_1", "missing")]
assert flash["bootloader"] == (0 if boot else None) and flash["table"] == 0x8000
quietly(esptool.main, *merge, WORK / "padded.bin", "--pad-to-size", "4MB", "0", APP)
says(WORK / "padded.bin", "app-image", "padded")
for form, kind in [("uf2", "uf2"), ("hex", "intel-hex")]:
    quietly(esptool.main, *merge, WORK / f"merged.{form}", "--format", form, "0x10000", APP)
    says(WORK / f"merged.{form}", kind, kind)
esp32 = cargo.glob("registry/src/*/espflash-4.*/resources/bootloaders/esp32-bootloader.bin")
for boot in list(esp32)[:1]:
    # esptool leaves out what is before the bootloader.
    arguments = ["--target-offset", "0x1000", "0x1000", boot, "0x8000", table, "0x10000", APP]
    quietly(esptool.main, "--chip", "esp32", "merge-bin", "-o", WORK / "from-boot.bin", *arguments)
    flash = says(WORK / "from-boot.bin", "merged-flash", "merged-flash")["flash"]
    assert (flash["base"], flash["bootloader"], flash["table"]) == (0x1000, 0x1000, 0x8000), flash
    assert flash["apps"][0]["offset"] == 0xF000, flash
quietly(espsecure.main, "generate-signing-key", "--version", "2", WORK / "key.pem")
signed = ["sign-data", "--version", "2", "--keyfile", WORK / "key.pem", "--output", WORK / "signed.bin", APP]
quietly(espsecure.main, *signed)
says(WORK / "signed.bin", "app-image", "signed")
file("aes.key", bytes(range(32)))
encrypt = ["encrypt-flash-data", "--aes-xts", "--keyfile", WORK / "aes.key", "--address", "0x10000"]
quietly(espsecure.main, *encrypt, "--output", WORK / "encrypted.bin", APP)
says(WORK / "encrypted.bin", "looks-encrypted", "looks-encrypted")
says(KEPT / "tampered.bin", "app-image", "checksum", 6)
says(file("digest.bin", app[:-1] + bytes([app[-1] ^ 1])), "app-image", "digest", 6)

# What esptool does not read, nothing of ours calls an image, and what it reads in part is not called good.
for name, data, kind, problem in [
    ("elf", ELF.read_bytes(), "elf-file", "elf-file"), ("table", table.read_bytes(), "partition-table", "partition-table"),
    ("html", b"<!DOCTYPE html>", "html", "html"), ("json", b"{}", "json", "json"), ("ff", b"\xff" * 64, "erased-flash", "erased-flash"),
    ("headless", app[4:], "shifted-image", "beginning-missing"), ("behind", b"12345678" + app, "shifted-image", "bytes-before"),
    ("truncated", app[:5000], "app-image", "truncated"), ("empty", b"", "empty", "empty"),
]:
    path = file(name, data)
    assert esptool_refuses(path), f"esptool reads {name}"
    says(path, kind, problem)
print("what esptool and espsecure make of an image is called what it is")
