"""Reads model files, one in hexadecimal a line after its kind, as the reference packages do, and prints what each makes of it.

Each answer is `read`, the number of arrays and the number of their elements; or `refused` and why, in one word.
"""

import io
import math
import os
import resource
import signal
import sys
import tempfile

import gguf
import numpy
import safetensors

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
path = os.path.join(tempfile.mkdtemp(), "file")


class TooLong(Exception):
    pass


def too_long(*_):
    raise TooLong


signal.signal(signal.SIGALRM, too_long)


def read(kind, content):
    if kind == "gguf":
        with open(path, "wb") as file:
            file.write(content)
        tensors = gguf.GGUFReader(path).tensors
        return len(tensors), sum(math.prod(int(size) for size in tensor.shape) for tensor in tensors)
    if kind == "safetensors":
        tensors = safetensors.deserialize(content)
        return len(tensors), sum(math.prod(tensor["shape"]) for _, tensor in tensors)
    array = numpy.load(io.BytesIO(content), allow_pickle=False)
    return 1, array.size


for line in sys.stdin:
    kind, content = line.split()
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        arrays, elements = read(kind, bytes.fromhex(content))
        answer = f"read {arrays} {elements}"
    except BaseException as error:
        answer = f"refused {type(error).__name__}"
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(answer, flush=True)
