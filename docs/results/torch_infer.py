#!/usr/bin/env python3
"""Times networks in PyTorch: python3 torch_infer.py [THREADS [SECONDS [MODEL ...]]]

Batch 1, 224x224, random weights. For each network three ways that people deploy
from PyTorch, each the fastest form there is:

  onednn   float32, channels last, traced and optimized for inference
  xnnpack  float32, channels last, optimized for mobile
  int8     8 bits by oneDNN, channels last, traced and frozen

Prints Markdown, the least and the median of the runs in milliseconds.
"""
import sys
import time
import warnings

import torch
import torchvision
from torch.ao.quantization import QConfigMapping, get_default_qconfig, quantize_fx
from torch.utils.mobile_optimizer import optimize_for_mobile

warnings.filterwarnings("ignore")
NETWORKS = ["alexnet", "vgg16", "resnet18", "resnet50", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_large",
            "shufflenet_v2_x1_0", "mnasnet1_0", "efficientnet_b0", "densenet121"]


def quantized(m, x):
    torch.backends.quantized.engine = "onednn"
    p = quantize_fx.prepare_fx(m, QConfigMapping().set_global(get_default_qconfig("onednn")), (x,))
    p(x)
    return torch.jit.freeze(torch.jit.trace(quantize_fx.convert_fx(p), x))


FORMS = {
    "onednn": lambda m, x: torch.jit.optimize_for_inference(torch.jit.trace(m, x)),
    "xnnpack": lambda m, x: optimize_for_mobile(torch.jit.trace(m, x)),
    "int8": quantized,
}


def timed(f, seconds):
    for _ in range(5):
        f()
    ms, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(ms) < 10:
        t = time.perf_counter()
        f()
        ms.append(1e3 * (time.perf_counter() - t))
    ms.sort()
    return f"{ms[0]:.2f} / {ms[len(ms) // 2]:.2f}"


threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2
torch.manual_seed(1)
torch.set_num_threads(threads)
last = torch.channels_last
print(f"PyTorch {torch.__version__}, {threads} thread(s), min / median ms\n")
print("| network | " + " | ".join(FORMS) + " |\n|---|" + "---|" * len(FORMS))
for name in sys.argv[3:] or NETWORKS:
    cells = []
    for form, make in FORMS.items():
        try:
            with torch.no_grad():
                m = torchvision.models.get_model(name, weights=None).eval().to(memory_format=last)
                x = torch.randn(1, 3, 224, 224).contiguous(memory_format=last)
                m = make(m, x)
                cells.append(timed(lambda: m(x), seconds))
        except Exception as e:  # some networks cannot be traced or quantized
            print(f"{name} {form}: {str(e).strip().splitlines()[-1][:100]}", file=sys.stderr)
            cells.append("fails")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
