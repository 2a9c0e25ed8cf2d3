"""Reads pickles, one in hexadecimal a line, with both readers of Python, and prints what each would import.

Nothing is imported or called: every name becomes a stand-in that takes anything.
"""

import io
import pickle
import resource
import sys

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


class StandIn:
    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return StandIn()

    def __setitem__(self, key, value):
        pass

    def __setstate__(self, state):
        pass

    def append(self, item):
        pass

    extend = add = append


def reader(base, seen):
    class Reader(base):
        def find_class(self, module, name):
            seen.add((module, name))
            return StandIn

        def persistent_load(self, pid):
            return StandIn()

    return Reader


for line in sys.stdin:
    data = bytes.fromhex(line)
    seen, ended = set(), 0
    for base in (pickle.Unpickler, pickle._Unpickler):
        stream, count = io.BytesIO(data), 0
        try:
            while stream.tell() < len(data):
                reader(base, seen)(stream).load()
                count += 1
        except Exception:
            pass
        ended = max(ended, count)
    names = [(module, name) for module, name in sorted(seen) if f"{module}{name}".isprintable()]
    print(ended, *(f"{module.encode().hex()}.{name.encode().hex()}" for module, name in names), flush=True)
