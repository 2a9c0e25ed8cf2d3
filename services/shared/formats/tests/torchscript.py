"""Writes TorchScript programs of many kinds to a directory: those that reach out of themselves have names that begin with `bad`."""

import sys
import warnings
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import nn

warnings.simplefilter("ignore")
directory = Path(sys.argv[1])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.normal = nn.BatchNorm2d(4)

    def forward(self, x):
        return torch.relu(self.normal(self.convolution(x)) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 7, 2, 3)
        self.blocks = nn.Sequential(Block(), Block())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(torch.flatten(self.pool(self.blocks(torch.relu(self.stem(x)))), 1))


class Pair(NamedTuple):
    count: int
    sum: torch.Tensor


@torch.jit.script
class Counter:
    def __init__(self, start: int):
        self.count = start

    def add(self, by: int) -> int:
        self.count += by
        return self.count


class Odd(nn.Module):
    words: Dict[str, int]
    maybe: Optional[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.words = {"a": 1}
        self.numbers = [1.5, 2.5]
        self.device = torch.device("cpu")
        self.maybe = None
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.embedding = nn.Embedding(10, 4)
        self.register_buffer("mask", torch.ones(3, 3).bool())

    def forward(self, x: torch.Tensor, names: List[str]) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], Pair]:
        counter = Counter(3)
        out: Dict[str, torch.Tensor] = {}
        y, _ = self.lstm(self.embedding(x))
        for i, name in enumerate(names):
            if name in self.words:
                out[name] = y * counter.add(i)
            else:
                raise ValueError("bad name: {}, not torch.save".format(name))
        assert y.dim() == 3, "it's three"
        y[0, :, 1:2] = 0.5
        future = torch.jit.fork(torch.neg, y)
        y = torch.jit.wait(future)
        return y, out, Pair(len([n * 2 for n in self.numbers]), y.sum(dim=-1, keepdim=True))

    @torch.jit.export
    def other(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1).softmax(0)


class Save(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "/tmp/x")
        return x


class Load(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file("/etc/passwd", False, 10)


net = Net().eval()
torch.jit.trace(net, torch.randn(1, 3, 32, 32)).save(directory / "traced.pt")
scripted = torch.jit.script(net)
scripted.save(directory / "scripted.pt")
torch.jit.save(scripted, directory / "extra.pt", _extra_files={"labels.txt": "cat\ndog"})
torch.jit.freeze(scripted).save(directory / "frozen.pt")
scripted._save_for_lite_interpreter(str(directory / "mobile.ptl"))
torch.jit.script(Odd().eval()).save(directory / "odd.pt")
dynamic = torch.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4)), {nn.Linear}, dtype=torch.qint8)
torch.jit.script(dynamic).save(directory / "quantised.pt")
for bad in (Save(), Load()):
    program = torch.jit.script(bad)
    name = type(bad).__name__.lower()
    program.save(directory / f"bad-{name}.pt")
    program._save_for_lite_interpreter(str(directory / f"bad-{name}.ptl"))
