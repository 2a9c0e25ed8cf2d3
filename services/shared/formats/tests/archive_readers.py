"""Reads archives, one in hexadecimal a line after the word `zip` or `tar`, as Python does, and prints what it makes of each.

Each answer is `refused`, or the names of the members with a checksum of what comes out of them, in hexadecimal.
"""

import io
import sys
import tarfile
import zipfile
import zlib


def members(kind, content):
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                yield entry.filename, archive.read(entry)
    else:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:", errorlevel=2) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                yield entry.name, file.read() if file else b""


for line in sys.stdin:
    kind, content = line.split()
    try:
        found = [f"{name.encode().hex() or '-'}:{zlib.crc32(data):08x}" for name, data in members(kind, bytes.fromhex(content))]
        print(" ".join(found) or "empty")
    except Exception:
        print("refused")
