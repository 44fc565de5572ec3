"""Training throughput of PyTorch on a CIFAR ResNet-20, for comparison with
`drawknife train`: python3 torch_train.py THREADS [BATCH] [STEPS]. Prints
images a second of wall time and of CPU time, channels-last and default."""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.a = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(cout), nn.BatchNorm2d(cout)
        self.extra, self.stride = cout - cin, stride

    def forward(self, x):
        y = self.nb(self.b(F.relu(self.na(self.a(x)))))
        if self.extra or self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra // 2))
        return F.relu(x + y)


def resnet20():
    layers, cin = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            layers.append(Block(cin, width, stride if i == 0 else 1))
            cin = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


threads, batch, steps = int(sys.argv[1]), int((sys.argv + ["128"])[2]) if len(sys.argv) > 2 else 128, 20
if len(sys.argv) > 3:
    steps = int(sys.argv[3])
torch.set_num_threads(threads)
for layout in (torch.channels_last, torch.contiguous_format):
    model = resnet20().train().to(memory_format=layout)
    x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout)
    y = torch.randint(0, 10, (batch,))
    opt = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    times = []
    for step in range(steps + 3):
        wall, cpu = time.perf_counter(), time.process_time()
        opt.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        opt.step()
        if step >= 3:
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall = sorted(t[0] for t in times)[len(times) // 2]
    cpu = sorted(t[1] for t in times)[len(times) // 2]
    print(f"{layout}: {batch / wall:.0f} images/s, {batch / cpu:.0f} images per second of CPU time")
