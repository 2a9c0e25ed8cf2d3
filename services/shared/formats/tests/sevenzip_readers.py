"""What py7zr and 7-Zip make of 7z archives.

`make DIRECTORY [PROGRAM]` prints archives of the files of a directory, a line each: what wrote it and how, and the archive in hexadecimal.
PROGRAM is 7-Zip. `read [PROGRAM]` reads archives, one in hexadecimal a line, and prints for each what py7zr and 7-Zip find in it: `refused`, or
the names of the files with the checksums of what comes out, in hexadecimal. Without a program, 7-Zip's answer is `-`.
"""

import io
import os
import subprocess
import sys
import tempfile
import zlib

import py7zr

FILTERS = {
    "default": None,
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 3}],
    "other-lzma-marked": [{"id": py7zr.FILTER_LZMA, "preset": 6}],
    "other-x86-lzma-marked": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA, "preset": 6}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "copy": [{"id": py7zr.FILTER_COPY}],
    "other-delta": [{"id": py7zr.FILTER_DELTA}, {"id": py7zr.FILTER_LZMA2, "preset": 3}],
    "other-zstd": [{"id": py7zr.FILTER_ZSTD}],
    "other-ppmd": [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 24}],
}

OPTIONS = {
    "default": [],
    "lzma": ["-m0=LZMA"],
    "lzma-9": ["-m0=LZMA", "-mx9"],
    "lzma2-1": ["-m0=LZMA2", "-mx1"],
    "x86-lzma2": ["-m0=BCJ", "-m1=LZMA2"],
    "bzip2": ["-m0=BZip2"],
    "deflate": ["-m0=Deflate"],
    "copy": ["-m0=Copy"],
    "copy-x86": ["-m0=BCJ", "-m1=Copy"],
    "apart": ["-ms=off"],
    "plain-header": ["-mhc=off"],
    "times": ["-mtc=on", "-mta=on"],
    "no-times": ["-mtm=off"],
    "other-lzma-bits": ["-m0=LZMA:lc=8"],
    "other-ppmd": ["-m0=PPMd"],
    "other-deflate64": ["-m0=Deflate64"],
    "other-arm64": ["-m0=ARM64", "-m1=LZMA2"],
    "other-bcj2": ["-m0=BCJ2", "-m1=LZMA2"],
    "encrypted": ["-psecret"],
    "encrypted-header": ["-psecret", "-mhe=on"],
}


def make(directory, program):
    names = sorted(os.listdir(directory))
    for name, filters in FILTERS.items():
        packed = io.BytesIO()
        with py7zr.SevenZipFile(packed, "w", filters=filters) as archive:
            for file in names:
                archive.writeall(os.path.join(directory, file), file)
        print("py7zr", name, packed.getvalue().hex())
    packed = io.BytesIO()
    with py7zr.SevenZipFile(packed, "w", password="secret") as archive:
        archive.writeall(os.path.join(directory, names[0]), names[0])
    print("py7zr", "encrypted", packed.getvalue().hex())
    for name, options in OPTIONS.items() if program else ():
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "a.7z")
            run = subprocess.run([program, "a", "-bd", *options, path, *names], cwd=directory, stdout=subprocess.DEVNULL)
            # An older 7-Zip does not know every filter.
            if run.returncode == 0:
                with open(path, "rb") as file:
                    print("7-Zip", name, file.read().hex())


def files(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                data = file.read()
            yield f"{os.path.relpath(path, directory).encode().hex()}:{zlib.crc32(data):08x}"


def shown(found):
    return ",".join(sorted(found)) or "nothing"


def with_py7zr(content, place):
    try:
        with py7zr.SevenZipFile(io.BytesIO(content)) as archive:
            archive.extractall(place)
        return shown(files(place))
    except Exception:
        return "refused"


def with_program(program, content, place):
    path = os.path.join(place, "a.7z")
    with open(path, "wb") as file:
        file.write(content)
    out = os.path.join(place, "out")
    run = subprocess.run(
        [program, "x", "-bd", "-y", "-p", f"-o{out}", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return shown(files(out)) if run.returncode == 0 else "refused"


def read(program):
    for line in sys.stdin:
        content = bytes.fromhex(line)
        with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as other:
            print(with_py7zr(content, place), with_program(program, content, other) if program else "-")


command, *arguments = sys.argv[1:]
if command == "make":
    make(*(arguments + [None])[:2])
else:
    read(*(arguments + [None])[:1])
