"""Writes PyTorch checkpoints of many kinds to a directory, or compares safetensors files there with what PyTorch loads.

    torch_files.py write DIRECTORY
    torch_files.py compare DIRECTORY     each line: a file, and `same` or what differs
"""

import json
import pathlib
import struct
import sys

import numpy
import torch

directory = pathlib.Path(sys.argv[2])
TYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
}


def write():
    torch.manual_seed(1)
    layers = [torch.nn.Linear(30, 40), torch.nn.BatchNorm1d(40), torch.nn.Linear(40, 5)]
    model = torch.nn.Sequential(*layers)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.randn(8, 30)).sum().backward()
    optimiser.step()
    state = model.state_dict()
    grid = torch.arange(3000 * 7, dtype=torch.int32).reshape(3000, 7)
    good = {
        "state": state,
        "checkpoint": {"model": state, "epoch": 3, "rate": 1e-3, "optimiser": optimiser.state_dict(), "note": "x"},
        "types": {name: torch.ones(5, dtype=kind) for name, kind in TYPES.items()},
        "views": {"grid": grid, "turned": grid.t(), "part": grid[5:900:3, 2:5], "wide": torch.ones(3).expand(4, 3)},
        "shapes": {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 4), "one": torch.ones(1, 1, 3)},
        "parameter": {"w": torch.nn.Parameter(torch.ones(3)), "list": [torch.zeros(2), {"deep": torch.ones(2)}]},
        "numpy": {"w": torch.ones(2), "loss": numpy.float64(0.5), "history": numpy.arange(4)},
        "tensor": torch.arange(10),
        "large": {"w": torch.randn(3 << 20)},
    }
    for name, value in good.items():
        torch.save(value, directory / f"good-{name}.pt")
        torch.save(value, directory / f"good-{name}-old.pt", _use_new_zipfile_serialization=False)
    torch.save(state, directory / "good-protocol-4.pt", pickle_protocol=4)
    # Admitted, but more than arrays of numbers.
    torch.save({"q": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)}, directory / "odd-quantised.pt")
    torch.save({"s": torch.eye(3).to_sparse()}, directory / "odd-sparse.pt")
    # Classes and programs.
    torch.save(model, directory / "bad-module.pt")
    torch.jit.script(model).save(str(directory / "odd-script.pt"))


def load(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    data = content[8 + length :]
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            kind = TYPES[entry["dtype"]]
            numbers = torch.frombuffer(bytearray(data[begin:end]), dtype=kind) if end > begin else torch.empty(0, dtype=kind)
            tensors[name] = numbers.reshape(entry["shape"])
    return tensors


def tensors_of(value, name=""):
    join = lambda key: f"{name}.{key}" if name else str(key)
    if isinstance(value, torch.Tensor):
        yield name or "tensor", value.detach()
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from tensors_of(entry, join(key))
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            yield from tensors_of(entry, join(index))


def compare():
    for path in sorted(directory.glob("*.safetensors")):
        found = load(path)
        wanted = dict(tensors_of(torch.load(path.with_suffix(".pt"), weights_only=False)))
        different = sorted(set(found) ^ set(wanted))
        for name in set(found) & set(wanted):
            if found[name].dtype != wanted[name].dtype or not torch.equal(found[name], wanted[name]):
                different.append(name)
        print(path.stem, "differs: " + ", ".join(different) if different else "same")


{"write": write, "compare": compare}[sys.argv[1]]()
