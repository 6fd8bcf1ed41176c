#!/usr/bin/env python3
"""The benchmark's model in PyTorch: a training step (forward, mean cross-entropy, backward), or a stream's.

Started by benchmarks/peers/torch.ts, which talks to it line by line. The first line of input is a JSON object
    {"file": path, "size": {B, T, I, H, L}, "classes": O, "threads": n, "weights": [[name, shape], ...],
     "work": "step" or "stream"}
where the file holds float32 weights in that order, then x [B, T, I] in float32, then the labels in int32. The
answer is {"loss": ..., "version": ...}. Every further line is a number of seconds, for which the step is repeated;
the answer is {"seconds": the median step}. Of a stream, a step is one frame, and the loss that of the last one.
"""
import json
import sys
import time

import numpy as np
import torch


class Model(torch.nn.Module):
    def __init__(self, inputs, hidden, layers, classes):
        super().__init__()
        self.rnn = torch.nn.RNN(inputs, hidden, layers, nonlinearity="tanh", batch_first=True)
        self.output = torch.nn.Linear(hidden, classes)

    def forward(self, x):
        _, last = self.rnn(x)
        return self.output(last[-1])


def load(task):
    size = task["size"]
    model = Model(size["I"], size["H"], size["L"], task["classes"])
    raw = np.fromfile(task["file"], dtype="<f4")
    parameters = dict(model.named_parameters())
    at = 0
    with torch.no_grad():
        for name, shape in task["weights"]:
            count = int(np.prod(shape))
            parameters[name].copy_(torch.from_numpy(raw[at : at + count].copy()).reshape(shape))
            at += count
    frames = size["B"] * size["T"] * size["I"]
    x = torch.from_numpy(raw[at : at + frames].copy()).reshape(size["B"], size["T"], size["I"])
    labels = torch.from_numpy(raw[at + frames :].view("<i4").astype(np.int64))
    return model, x, labels


def step(model, x, labels):
    for parameter in model.parameters():
        parameter.grad = None
    loss = torch.nn.functional.cross_entropy(model(x), labels)
    loss.backward()
    return loss


@torch.no_grad()
def stream(model, x, labels):
    """All frames of x [1, T, I], one call of the model each."""
    states = None
    for t in range(x.shape[1]):
        last, states = model.rnn(x[:, t : t + 1], states)
        logits = model.output(last[:, 0])
    return torch.nn.functional.cross_entropy(logits, labels)


def answer(values):
    print(json.dumps(values), flush=True)


def main():
    task = json.loads(sys.stdin.readline())
    torch.set_num_threads(task["threads"])
    model, x, labels = load(task)
    work, units = (stream, x.shape[1]) if task["work"] == "stream" else (step, 1)
    answer({"loss": work(model, x, labels).item(), "version": torch.__version__})
    for line in sys.stdin:
        end = time.perf_counter() + float(line)
        times = []
        while not times or time.perf_counter() < end:
            begun = time.perf_counter()
            work(model, x, labels)
            times.append((time.perf_counter() - begun) / units)
        answer({"seconds": sorted(times)[len(times) // 2]})


main()
