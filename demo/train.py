#!/usr/bin/python3
"""Trains the demonstration network on drawn shapes and writes it as ONNX (for maintainers; users take demo/shapes.onnx).

    tailor-demo-shapes train.bin 60000 1
    tailor-demo-shapes test.bin 10000 2
    OMP_NUM_THREADS=1 python3 demo/train.py train.bin test.bin demo/shapes.onnx

Needs PyTorch 1.13 (Debian: python3-torch). The widths are awkward on purpose, as pruning by a fixed share of the filters
leaves them: just above the multiples of 16 at which a layer gets slower.
"""
import argparse
import sys
import time

import numpy
import torch
from torch import nn

STREAM = (18, 35, 66)                   # width of each stage's residual stream
INNER = ((19,), (35, 34), (67, 65))     # width inside each block


class Block(nn.Module):
    """relu(x' + bn(conv(relu(bn(conv(x)))))), x' = x or a strided 1x1 convolution of it."""

    def __init__(self, into, inner, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(into, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = None
        if stride != 1 or into != out:
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (self.shortcut(x) if self.shortcut else x))


class Shapes(nn.Module):
    def __init__(self, stream=STREAM, inner=INNER, stride=1):
        super().__init__()
        self.stem = nn.Conv2d(3, stream[0], 3, stride, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(stream[0])
        blocks, into = [], stream[0]
        for stage, (out, inners) in enumerate(zip(stream, inner)):
            for i, inner in enumerate(inners):
                blocks.append(Block(into, inner, out, 2 if stage > 0 and i == 0 else 1))
                into = out
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(into, 10)

    def forward(self, x):
        x = torch.relu(self.stem_bn(self.stem(x)))
        return self.classifier(torch.flatten(self.pool(self.blocks(x)), 1))


def read(path):
    """Images as float32 in 0..1, labels."""
    records = numpy.fromfile(path, numpy.uint8).reshape(-1, 3073)
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(records[:, 0].astype(numpy.int64))


def augmented(images):
    """Flips, transpositions and shifts by up to two pixels: no class depends on them."""
    if torch.rand(()) < 0.5:
        images = images.flip(3)
    if torch.rand(()) < 0.5:
        images = images.transpose(2, 3)
    dy, dx = torch.randint(0, 5, (2,)).tolist()
    return nn.functional.pad(images, (2, 2, 2, 2), mode="replicate")[:, :, dy:dy + 32, dx:dx + 32]


def accuracy(model, images, labels):
    model.eval()
    right = 0
    with torch.no_grad():
        for at in range(0, len(images), 250):
            right += (model(images[at:at + 250].float() / 255).argmax(1) == labels[at:at + 250]).sum().item()
    return right / len(images)


def train(model, images, labels, test, epochs, batch, rate):
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    start = time.time()
    for epoch in range(epochs):
        model.train()
        order, total = torch.randperm(len(images)), 0.0
        for at in range(0, len(images) - batch + 1, batch):
            take = order[at:at + batch]
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(model(augmented(images[take].float() / 255)), labels[take])
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {total * batch / len(images):.3f}, accuracy "
              f"{accuracy(model, *test):.4f}, {time.time() - start:.0f} s", file=sys.stderr, flush=True)


def write(model, path):
    """Opset 13, free batch dimension, BatchNormalization kept as it was trained."""
    model.eval()
    with torch.no_grad():
        for block in model.blocks:  # equal gradients keep these two equal, and the exporter would share them by an Identity
            if block.shortcut:
                block.bn2.bias += 0.01
                block.shortcut[1].bias -= 0.01
    torch.onnx.export(model, torch.zeros(1, 3, 32, 32), path, opset_version=13, input_names=["image"],
                      output_names=["logits"], training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
                      keep_initializers_as_inputs=False, dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}})


def widths(text):
    return tuple(int(width) for width in text.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train"), parser.add_argument("test"), parser.add_argument("out")
    parser.add_argument("--stream", type=widths, help="widths of another network, one block a stage: 49,97,193,385")
    parser.add_argument("--stem-stride", type=int, default=1, help="with --stream: 2 trains four times as fast")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.006, help="highest learning rate; 0.002 for wide networks")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    model, test = Shapes(), read(options.test)
    if options.stream:
        model = Shapes(options.stream, [(width,) for width in options.stream], options.stem_stride)
    train(model, *read(options.train), test, options.epochs, options.batch, options.rate)
    print(f"accuracy {accuracy(model, *test):.4f} on {len(test[0])} images", file=sys.stderr)
    write(model, options.out)


if __name__ == "__main__":
    main()
