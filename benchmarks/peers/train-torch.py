"""Trains the main job's model in PyTorch on the very same arrays, to compare accuracies.

    npm start -- --export corpus.safetensors
    python3 benchmarks/peers/train-torch.py corpus.safetensors [seeds]
"""

import json
import struct
import sys

import numpy as np
import torch
from torch import nn

HIDDEN, LAYERS, EPOCHS, BATCH, RATE, CLIP = 128, 2, 8, 32, 1e-3, 5.0


def read_safetensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]
        tensors[name] = np.frombuffer(data[begin:end], kind).reshape(entry["shape"]).copy()
    return tensors, metadata


class Classifier(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.rnn = nn.RNN(inputs, HIDDEN, LAYERS, batch_first=True)
        self.output = nn.Linear(HIDDEN, classes)
        for layer in range(LAYERS):
            nn.init.orthogonal_(getattr(self.rnn, f"weight_hh_l{layer}"))

    def forward(self, sequences):
        packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        _, last = self.rnn(packed)
        return self.output(last[-1])


def split(tensors, name):
    # By the training frames, as the library's measureNormalization does.
    mean, std = (getattr(tensors["train.frames"].astype("f8"), kind)(0) for kind in ("mean", "std"))
    frames = torch.from_numpy(((tensors[f"{name}.frames"] - mean) / std).astype("f4"))
    lengths = tensors[f"{name}.lengths"].astype(int).tolist()
    return list(frames.split(lengths)), torch.from_numpy(tensors[f"{name}.labels"]).long()


def accuracy(model, sequences, labels):
    with torch.no_grad():
        hits = sum(
            (model(sequences[i : i + 512]).argmax(1) == labels[i : i + 512]).sum().item()
            for i in range(0, len(sequences), 512)
        )
    return hits / len(sequences)


def train(seed, tensors, classes):
    torch.manual_seed(seed)
    sequences, labels = split(tensors, "train")
    model = Classifier(sequences[0].shape[1], classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = EPOCHS * -(-len(sequences) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(sequences)).tolist()
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model([sequences[i] for i in rows]), labels[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
        print(f"seed {seed} epoch {epoch + 1} loss {loss.item():.3f}", file=sys.stderr, flush=True)
    return accuracy(model, *split(tensors, "test"))


def main():
    tensors, metadata = read_safetensors(sys.argv[1])
    classes = len(json.loads(metadata["classes"]))
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    results = [train(seed, tensors, classes) for seed in range(1, seeds + 1)]
    print("test accuracy by seed:", " ".join(f"{100 * r:.1f} %" for r in results))
    print(f"mean: {100 * sum(results) / len(results):.1f} %")


main()
