#!/usr/bin/env python3
"""Makes the fixtures of this folder: what torchvision's own networks compute, and its residual
networks with squeeze and excitation (NAME_se), which is added here.

    make.py OUT [NAME...]      writes OUT/NAME.json

Needs torch and torchvision, which no test needs. The weights are those of tests/support/formula.c,
in ranges that the file states: uniform in a +- b, by the name of the parameter. The variances of
the batch norms are chosen so that no layer makes its map much larger or smaller, as in a trained
network. Everything is computed in float64 from weights in float32.

Each file has two results: of the network as it is, and with the last halving of its map left out
(`--last-stride 1`), for which the stride is changed in torchvision's modules; a transition of
DenseNet loses its pool, and ConvNeXt's 2x2 convolution gets a row and a column of zeros. The map
of a class is Grad-CAM's on the last map without its ReLU: for average pooling and one linear
layer these are the weights of the class.
"""
import copy
import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

SIZE = (77, 102)
CLASSES = 7


def unit(name, count):
    h = 14695981039346656037
    for byte in name.encode():
        h = ((h ^ byte) * 1099511628211) & (1 << 64) - 1
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (2 * (z >> np.uint64(40)).astype(np.float64) + 1 - 16777216.0) / 16777216.0


def formula(name, shape, a, b):
    values = a + float(np.float32(b)) * unit(name, int(np.prod(shape)))
    return torch.from_numpy(values.astype(np.float32).reshape(shape)).double()


def short(value, digits=4):
    return float(f"{value:.{digits}g}")


def ranges(name, module, kind, shape):
    """The range of a parameter that does not depend on the maps."""
    if kind == "weight" and isinstance(module, (nn.Conv2d, nn.Linear)):
        return 0.0, short(math.sqrt(5 / np.prod(shape[1:])))
    if kind == "weight":
        return 1.0, 0.25
    if kind == "layer_scale":
        return 0.3, 0.1
    return 0.0, 0.1


def fill(net, x):
    found = {}

    def put(name, tensor, a, b):
        found[name] = (a, b)
        tensor.data = formula(name, tensor.shape, a, b)

    for name, module in net.named_modules():
        for kind, tensor in module.named_parameters(name, recurse=False):
            put(kind, tensor, *ranges(kind, module, kind.split(".")[-1], tensor.shape))

    def norm(name):
        def hook(module, inputs):
            variance = float(inputs[0].var())
            put(name + ".running_mean", module.running_mean, 0.0, short(0.1 * math.sqrt(variance)))
            put(name + ".running_var", module.running_var, short(variance), short(variance / 4))
        return hook

    hooks = [m.register_forward_pre_hook(norm(n)) for n, m in net.named_modules()
             if isinstance(m, nn.BatchNorm2d)]
    net(x)
    for hook in hooks:
        hook.remove()
    return found


def halves(net, name):
    """Leaves out the last halving of the map."""
    if name.startswith("res"):
        for module in net.layer4[0].modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
    elif name.startswith("densenet"):
        net.features.transition3.pool = nn.Identity()
    elif name.startswith("convnext"):
        conv = net.features[6][1]
        conv.stride = (1, 1)
        net.features[6][1] = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), conv)
    else:
        last = [m for m in net.features.modules()
                if isinstance(m, nn.Conv2d) and m.stride == (2, 2)][-1]
        last.stride = (1, 1)


def trunk(net, x):
    if isinstance(net, torchvision.models.ResNet):
        for layer in (net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3,
                      net.layer4):
            x = layer(x)
        return x
    x = net.features(x)
    return F.relu(x) if isinstance(net, torchvision.models.DenseNet) else x


def head(net, x):
    x = F.adaptive_avg_pool2d(x, 1)
    if isinstance(net, torchvision.models.ResNet):
        return net.fc(torch.flatten(x, 1))
    if isinstance(net, torchvision.models.ConvNeXt):
        return net.classifier(x)
    return net.classifier(torch.flatten(x, 1))


def result(net, x):
    with torch.no_grad():
        last = trunk(net, x)
        whole = net(x)
    last.requires_grad_()
    scores = head(net, last)
    if not torch.equal(scores, whole):
        raise SystemExit("the parts do not make up the network")
    k = int(scores[0].argmin())
    (grad,) = torch.autograd.grad(scores[0, k], last)
    cam = (grad[0].sum((1, 2))[:, None, None] * last[0]).sum(0)

    def numbers(t):
        return [float(f"{v:.9g}") for v in t.flatten()]
    return {"logits": numbers(scores[0]), "class": k, "features": list(last.shape[1:]),
            "features_mean": numbers(last[0].mean((1, 2)))[:16], "cam_size": list(cam.shape),
            "cam": numbers(cam)}


def training(net):
    """A step on two images, with batch norms as at inference and without anything random, since
    those in training of a few pixels make of rounding to float32 what no test can tell from an
    error: for each parameter the length of its gradient, or of the running statistics, and the
    product with the stream NAME.grad of the formula."""
    labels = [1, 4]
    loss = F.cross_entropy(net(formula("images", (2, 3, 96, 96), 0.0, 2.0)), torch.tensor(labels))
    loss.backward()
    params, sums = dict(net.named_parameters()), []
    for name, value in net.state_dict().items():
        if "num_batches" not in name:
            value = params[name].grad if name in params else value
            along = formula(name + ".grad", value.shape, 0.0, 1.0)
            sums.append([short(float(value.norm()), 7), short(float((value * along).sum()), 7)])
    return {"labels": labels, "loss": float(loss), "sums": sums}


class Excitation(nn.Module):
    """Squeeze and excitation (Hu et al., 2018), which torchvision's residual networks do not have:
    two linear layers, a sixteenth of the channels between them, sigmoid."""

    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // 16)
        self.fc2 = nn.Linear(channels // 16, channels)

    def forward(self, x):
        s = self.fc2(F.relu(self.fc1(x.mean((2, 3)))))
        return x * torch.sigmoid(s)[:, :, None, None]


def excited(block):
    """The block's forward with excitation before the addition."""
    def forward(x):
        y = F.relu(block.bn1(block.conv1(x)))
        y = block.bn2(block.conv2(y))
        if hasattr(block, "conv3"):
            y = block.bn3(block.conv3(F.relu(y)))
        y = block.se(y)
        return F.relu(y + (x if block.downsample is None else block.downsample(x)))
    return forward


def network(name, **settings):
    net = getattr(torchvision.models, name.replace("_se", ""))(**settings)
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4) if name.endswith("_se") else ():
        for block in stage:
            shortcut = block.downsample
            del block.downsample
            block.se = Excitation((block.conv3 if hasattr(block, "conv3") else block.conv2).out_channels)
            block.downsample = shortcut
            block.forward = excited(block)
    return net


TRAINED = ("resnet18_se resnet18 resnext50_32x4d mobilenet_v2 mobilenet_v3_small efficientnet_b0 densenet121 "
           "convnext_tiny")
NAMES = ("resnet18 resnet34 resnet101 resnet152 resnext50_32x4d mobilenet_v2 mobilenet_v3_large "
         "mobilenet_v3_small efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 "
         "efficientnet_b4 densenet121 convnext_tiny resnet18_se resnet34_se resnet101_se "
         "resnet152_se").split()


def main():
    for name in sys.argv[2:] or NAMES:
        published = network(name)
        count = sum(p.numel() for p in published.parameters())
        net = network(name, num_classes=CLASSES).double().eval()
        x = formula("input", (1, 3, *SIZE), 0.0, 2.0)
        with torch.no_grad():
            found = fill(net, x)
        state = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
        record = {"made_by": f"torchvision {torchvision.__version__.split('a')[0]}", "name": name,
                  "parameters_1000": count, "input": [1, 3, *SIZE],
                  "params": [{"name": k, "shape": list(v.shape), "a": found[k][0],
                              "b": found[k][1]} for k, v in state.items()]}
        record["as it is"] = result(net, x)
        if name in TRAINED.split():
            # A copy of a network with excitation would run the original's blocks.
            record["training"] = training(net if name.endswith("_se") else copy.deepcopy(net))
        halves(net, name)
        record["last stride 1"] = result(net, x)
        text = json.dumps(record).replace('{"name"', '\n{"name"').replace('"as it', '\n"as it').replace('"training', '\n"training')
        with open(f"{sys.argv[1]}/{name}.json", "w") as f:
            f.write(text.replace('"last stride', '\n"last stride') + "\n")
        print(name, count, record["as it is"]["logits"], record["as it is"]["features"],
              record["last stride 1"]["features"], record["as it is"]["cam"][:3])


main()
