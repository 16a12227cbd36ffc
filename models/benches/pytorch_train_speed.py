"""Training steps a second of PyTorch on one thread, for train_speed.rs.

Usage: pytorch_train_speed.py TIMExCHANNELS LAYER,LAYER,... BATCH
Layers: conv:OUT:KERNEL, max:SIZE, mean:SIZE, relu, tanh, dense:OUT. Each line on standard input starts one
run of about a second; its answer on standard output is the number of steps a second.
"""

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"
import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)

RUN_SECONDS = 1.0
BATCHES = 10


def build(time_steps, channels, layers):
    modules, flat = [], None
    for layer in layers.split(","):
        kind, *sizes = layer.split(":")
        sizes = [int(size) for size in sizes]
        if kind == "conv":
            out, kernel = sizes
            modules.append(nn.Conv1d(channels, out, kernel))
            channels, time_steps = out, time_steps - kernel + 1
        elif kind in ("max", "mean"):
            pool = nn.MaxPool1d if kind == "max" else nn.AvgPool1d
            modules.append(pool(sizes[0]))
            time_steps //= sizes[0]
        elif kind == "dense":
            if flat is None:
                modules.append(nn.Flatten())
                flat = time_steps * channels
            modules.append(nn.Linear(flat, sizes[0]))
            flat = sizes[0]
        else:
            modules.append({"relu": nn.ReLU, "tanh": nn.Tanh}[kind]())
    return nn.Sequential(*modules), flat


def main():
    shape, layers, batch = sys.argv[1:]
    time_steps, channels = map(int, shape.split("x"))
    batch = int(batch)
    model, classes = build(time_steps, channels, layers)
    windows = torch.randn(BATCHES * batch, channels, time_steps)
    labels = torch.randint(0, classes, (BATCHES * batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()

    def epoch():
        order = torch.randperm(len(windows))
        for picked in order.split(batch):
            optimizer.zero_grad()
            loss_of(model(windows[picked]), labels[picked]).backward()
            optimizer.step()

    epoch()
    for _ in sys.stdin:
        steps, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < RUN_SECONDS:
            epoch()
            steps += BATCHES
        print(steps / taken, flush=True)


main()
