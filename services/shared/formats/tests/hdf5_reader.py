"""Reads HDF5 files, one in hexadecimal a line, with h5py, and prints what it makes of each.

A line is `-` and a reason where the library gives up, otherwise three numbers: datasets of numbers, elements in them, and things that reach out of the file.
"""

import io
import resource
import signal
import sys

import h5py

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def numeric(dataset):
    return dataset.dtype.kind not in "SO" or h5py.check_dtype(enum=dataset.dtype)


def walk(group, seen, found):
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            found[2] += 1
            continue
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            continue
        seen.add(address)
        dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                found[2] += 1
                continue
            item[()]
            if numeric(item):
                found[0] += 1
                found[1] += item.size or 0
        else:
            walk(item, seen, found)


def read(data):
    found = [0, 0, 0]
    with h5py.File(io.BytesIO(data), "r") as file:
        dict(file.attrs)
        walk(file, {h5py.h5o.get_info(file.id).addr}, found)
    return " ".join(map(str, found))


for line in sys.stdin:
    # The library does not come to an end with some files; then this process ends.
    signal.alarm(4)
    try:
        print(read(bytes.fromhex(line)))
    except Exception as error:
        # Why it gave up follows.
        print("-", str(error).replace("\n", " "))
    sys.stdout.flush()
