#!/usr/bin/env python3
"""Times DenseNet-121 in 8 bits in PyTorch with oneDNN: python3 torch_int8.py [THREADS [RUNS]]

Batch 1, 224x224, random weights, channels last, traced and frozen. Among the
peers oneDNN is the faster one for this network alone.
"""
import sys
import time
import warnings

import torch
from torch import nn
from torch.ao.quantization import QConfigMapping, get_default_qconfig, quantize_fx

warnings.filterwarnings("ignore")


class Layer(nn.Module):
    def __init__(self, c, growth):
        super().__init__()
        self.f = nn.Sequential(
            nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.f(x)], 1)


def densenet121():
    parts = [nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    c = 64
    for i, n in enumerate([6, 12, 24, 16]):
        for _ in range(n):
            parts.append(Layer(c, 32))
            c += 32
        if i < 3:
            parts += [nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, c // 2, 1, bias=False), nn.AvgPool2d(2)]
            c //= 2
    parts += [nn.BatchNorm2d(c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 1000)]
    return nn.Sequential(*parts)


threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 60
torch.manual_seed(1)
torch.set_num_threads(threads)
torch.backends.quantized.engine = "onednn"
last = torch.channels_last
with torch.no_grad():
    m = densenet121().eval().to(memory_format=last)
    x = torch.randn(1, 3, 224, 224).contiguous(memory_format=last)
    p = quantize_fx.prepare_fx(m, QConfigMapping().set_global(get_default_qconfig("onednn")), (x,))
    p(x)
    m = torch.jit.freeze(torch.jit.trace(quantize_fx.convert_fx(p), x))
    for _ in range(5):
        m(x)
    ms = []
    for _ in range(runs):
        t = time.perf_counter()
        m(x)
        ms.append(1e3 * (time.perf_counter() - t))
ms.sort()
print(f"torch {torch.__version__} densenet121 int8, {threads} thread(s): min {ms[0]:.2f}, median {ms[len(ms) // 2]:.2f} ms")
