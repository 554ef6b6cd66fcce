#!/usr/bin/env python3
"""Makes the fixtures of this folder: small networks of the families that people export, with random
weights, as ONNX files of PyTorch's exporter, and their scores and class maps on formula inputs.

    make.py OUT [--full] [NAME...]      writes OUT/NAME.onnx and OUT/NAME.json

--full gives the networks their published widths, for docs/performance/imported.sh and comparisons by
hand; their files are as large as those of real networks. The networks are written down anew from their papers and torchvision's
descriptions, since torchvision is not at hand. What PyTorch 1.13 does not write is in hand.py.
"""
import json
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from hand import HAND, MOBILENET, formula_input, nhwc


def conv_bn(cin, cout, k, s=1, p=None, groups=1, act=nn.ReLU, eps=1e-5, d=1):
    p = k // 2 if p is None else p
    parts = [nn.Conv2d(cin, cout, k, s, p, d, groups, bias=False), nn.BatchNorm2d(cout, eps=eps)]
    return nn.Sequential(*parts, *([act()] if act else []))


class Residual(nn.Module):
    def __init__(self, body, down=None):
        super().__init__()
        self.body, self.down = body, down

    def forward(self, x):
        return F.relu(self.body(x) + (self.down(x) if self.down else x))


class Classifier(nn.Module):
    """features, global average pooling, and a classifier."""

    def __init__(self, features, channels, classes, head=None):
        super().__init__()
        self.features = features
        self.fc = head or nn.Linear(channels, classes)

    def forward(self, x):
        x = self.last = self.features(x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def resnet(width, bottleneck=False, blocks=(2, 2, 2, 2), classes=5):
    layers = [conv_bn(3, width, 7, 2), nn.MaxPool2d(3, 2, 1)]
    cin, grow = width, 4 if bottleneck else 1
    for stage, count in enumerate(blocks):
        mid = width << stage
        for i in range(count):
            s = 2 if stage and i == 0 else 1
            if bottleneck:
                body = nn.Sequential(conv_bn(cin, mid, 1), conv_bn(mid, mid, 3, s),
                                     conv_bn(mid, mid * 4, 1, act=None))
            else:
                body = nn.Sequential(conv_bn(cin, mid, 3, s), conv_bn(mid, mid, 3, act=None))
            down = conv_bn(cin, mid * grow, 1, s, act=None) if s > 1 or cin != mid * grow else None
            layers.append(Residual(body, down))
            cin = mid * grow
    return Classifier(nn.Sequential(*layers), cin, classes)


class Inverted(nn.Module):
    def __init__(self, cin, cout, s, t, k=3, act=nn.ReLU6, se=None, eps=1e-5):
        super().__init__()
        mid = cin * t if isinstance(t, int) else t[0]
        parts = [] if mid == cin else [conv_bn(cin, mid, 1, act=act, eps=eps)]
        parts.append(conv_bn(mid, mid, k, s, groups=mid, act=act, eps=eps))
        if se:
            parts.append(se(mid, cin))
        parts.append(conv_bn(mid, cout, 1, act=None, eps=eps))
        self.body, self.skip = nn.Sequential(*parts), s == 1 and cin == cout

    def forward(self, x):
        return x + self.body(x) if self.skip else self.body(x)


class Squeeze(nn.Module):
    def __init__(self, channels, mid, act, gate):
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, mid, 1), nn.Conv2d(mid, channels, 1)
        self.act, self.gate = act(), gate()

    def forward(self, x):
        return x * self.gate(self.b(self.act(self.a(F.adaptive_avg_pool2d(x, 1)))))


def mobilenet_v2(w=1.0, classes=5):
    def c(n):
        return max(8, int(n * w + 4) // 8 * 8)
    layers, cin = [conv_bn(3, c(32), 3, 2, act=nn.ReLU6)], c(32)
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))
    for t, n, count, s in rows if w >= 1 else ((1, 16, 1, 1), (3, 24, 2, 2)):
        for i in range(count):
            layers.append(Inverted(cin, c(n), s if i == 0 else 1, t))
            cin = c(n)
    last = 1280 if w >= 1 else 16
    layers.append(conv_bn(cin, last, 1, act=nn.ReLU6))
    return Classifier(nn.Sequential(*layers), last, classes,
                      nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes)))


def mobilenet_v3(w=1.0, classes=5):
    def c(n):
        return max(8, int(n * w + 4) // 8 * 8)

    def se(mid, _):
        return Squeeze(mid, c(max(8, mid // 4)), nn.ReLU, nn.Hardsigmoid)
    hs, re = nn.Hardswish, nn.ReLU
    rows = ((3, 16, 16, None, re, 1), (3, 64, 24, None, re, 2), (3, 72, 24, None, re, 1),
            (5, 72, 40, se, re, 2), (5, 120, 40, se, re, 1), (5, 120, 40, se, re, 1),
            (3, 240, 80, None, hs, 2), (3, 200, 80, None, hs, 1), (3, 184, 80, None, hs, 1),
            (3, 184, 80, None, hs, 1), (3, 480, 112, se, hs, 1), (3, 672, 112, se, hs, 1),
            (5, 672, 160, se, hs, 2), (5, 960, 160, se, hs, 1), (5, 960, 160, se, hs, 1))
    layers, cin = [conv_bn(3, c(16), 3, 2, act=nn.Hardswish, eps=1e-3)], c(16)
    if w < 1:
        rows = ((3, 16, 16, se, nn.ReLU, 2), (3, 96, 24, se, nn.Hardswish, 1))
    for k, mid, out, gate, act, s in rows:
        # The small one has as many times more channels in between.
        t = (mid,) if w >= 1 else c(mid)
        layers.append(Inverted(cin, c(out), s, t, k, act, gate, 1e-3))
        cin = c(out)
    last = 960 if w >= 1 else c(576)
    layers.append(conv_bn(cin, last, 1, act=nn.Hardswish, eps=1e-3))
    hidden = 1280 if w >= 1 else 16
    return Classifier(nn.Sequential(*layers), last, classes,
                      nn.Sequential(nn.Linear(last, hidden), nn.Hardswish(), nn.Dropout(0.2),
                                    nn.Linear(hidden, classes)))


def efficientnet(w=1.0, classes=5):
    def c(n):
        return max(8, int(n * w + 4) // 8 * 8)

    def se(mid, cin):
        return Squeeze(mid, max(1, cin // 4), nn.SiLU, nn.Sigmoid)
    layers, cin = [conv_bn(3, c(32), 3, 2, act=nn.SiLU)], c(32)
    rows = ((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2),
            (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1))
    for t, k, n, count, s in rows if w >= 1 else ((1, 3, 16, 1, 1), (2, 5, 24, 2, 2)):
        for i in range(count):
            layers.append(Inverted(cin, c(n), s if i == 0 else 1, t, k, nn.SiLU, se))
            cin = c(n)
    last = 1280 if w >= 1 else 16
    layers.append(conv_bn(cin, last, 1, act=nn.SiLU))
    return Classifier(nn.Sequential(*layers), last, classes,
                      nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes)))


class DenseLayer(nn.Module):
    def __init__(self, cin, growth):
        super().__init__()
        self.n1, self.c1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, 4 * growth, 1, bias=False)
        self.n2 = nn.BatchNorm2d(4 * growth)
        self.c2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, maps):
        x = self.c1(F.relu(self.n1(torch.cat(maps, 1))))
        return self.c2(F.relu(self.n2(x)))


class DenseBlock(nn.Module):
    def __init__(self, count, cin, growth):
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(cin + i * growth, growth) for i in range(count))

    def forward(self, x):
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps))
        return torch.cat(maps, 1)


def densenet(growth=32, blocks=(6, 12, 24, 16), classes=5):
    cin = 2 * growth
    layers = [conv_bn(3, cin, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for i, count in enumerate(blocks):
        layers.append(DenseBlock(count, cin, growth))
        cin += count * growth
        if i + 1 < len(blocks):
            layers += [nn.BatchNorm2d(cin), nn.ReLU(), nn.Conv2d(cin, cin // 2, 1, bias=False),
                       nn.AvgPool2d(2)]
            cin //= 2
    layers += [nn.BatchNorm2d(cin), nn.ReLU()]
    return Classifier(nn.Sequential(*layers), cin, classes)


class ShuffleUnit(nn.Module):
    def __init__(self, cin, cout, s):
        super().__init__()
        mid = cout // 2
        self.s = s
        if s > 1:
            self.left = nn.Sequential(conv_bn(cin, cin, 3, s, groups=cin, act=None),
                                      conv_bn(cin, mid, 1))
        self.right = nn.Sequential(conv_bn(cin if s > 1 else mid, mid, 1),
                                   conv_bn(mid, mid, 3, s, groups=mid, act=None),
                                   conv_bn(mid, mid, 1))

    def forward(self, x):
        if self.s == 1:
            a, b = x.chunk(2, dim=1)
            x = torch.cat((a, self.right(b)), 1)
        else:
            x = torch.cat((self.left(x), self.right(x)), 1)
        n, c, h, w = x.size()
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class ShuffleNet(Classifier):
    def forward(self, x):
        x = self.last = self.features(x)
        return self.fc(x.mean([2, 3]))


def shufflenet(widths=(24, 116, 232, 464, 1024), counts=(4, 8, 4), classes=5):
    layers, cin = [conv_bn(3, widths[0], 3, 2), nn.MaxPool2d(3, 2, 1)], widths[0]
    for cout, count in zip(widths[1:4], counts):
        for i in range(count):
            layers.append(ShuffleUnit(cin, cout, 2 if i == 0 else 1))
            cin = cout
    layers.append(conv_bn(cin, widths[4], 1))
    return ShuffleNet(nn.Sequential(*layers), widths[4], classes)


class Fire(nn.Module):
    def __init__(self, cin, s, e):
        super().__init__()
        self.s, self.a, self.b = (nn.Conv2d(cin, s, 1), nn.Conv2d(s, e, 1),
                                  nn.Conv2d(s, e, 3, padding=1))

    def forward(self, x):
        x = F.relu(self.s(x))
        return torch.cat([F.relu(self.a(x)), F.relu(self.b(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self, w, classes):
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 4 * w, 3, 2), nn.ReLU(), pool, Fire(4 * w, w, 4 * w),
            Fire(8 * w, w, 4 * w), pool, Fire(8 * w, 2 * w, 8 * w), Fire(16 * w, 2 * w, 8 * w),
            pool, Fire(16 * w, 3 * w, 12 * w), Fire(24 * w, 4 * w, 16 * w))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(32 * w, classes, 1), nn.ReLU(),
                                  nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        self.last = self.features(x)
        self.map = self.head[:3](self.last)
        return torch.flatten(self.head[3](self.map), 1)


def regnet(widths=(24, 56, 152, 368), depths=(1, 1, 4, 7), group=8, classes=5):
    """RegNetX: groups of a fixed width."""
    layers, cin = [conv_bn(3, 32 if widths[0] > 16 else 8, 3, 2)], 32 if widths[0] > 16 else 8
    for cout, depth in zip(widths, depths):
        for i in range(depth):
            s = 2 if i == 0 else 1
            body = nn.Sequential(conv_bn(cin, cout, 1),
                                 conv_bn(cout, cout, 3, s, groups=cout // group),
                                 conv_bn(cout, cout, 1, act=None))
            layers.append(Residual(body, conv_bn(cin, cout, 1, s, act=None) if i == 0 else None))
            cin = cout
    return Classifier(nn.Sequential(*layers), cin, classes)


class Inception(nn.Module):
    def __init__(self, cin, a, b0, b1, c0, c1, d):
        super().__init__()
        self.a = conv_bn(cin, a, 1, eps=1e-3)
        self.b = nn.Sequential(conv_bn(cin, b0, 1, eps=1e-3), conv_bn(b0, b1, 3, eps=1e-3))
        self.c = nn.Sequential(conv_bn(cin, c0, 1, eps=1e-3), conv_bn(c0, c1, 3, eps=1e-3))
        self.d = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True),
                               conv_bn(cin, d, 1, eps=1e-3))

    def forward(self, x):
        return torch.cat([self.a(x), self.b(x), self.c(x), self.d(x)], 1)


def googlenet(w=1.0, classes=5):
    def c(n):
        return max(4, int(n * w))
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    rows = ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
            (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None,
            (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128))
    if w < 1:
        rows = (rows[0], None, rows[3])
    layers = [conv_bn(3, c(64), 7, 2, eps=1e-3), pool, conv_bn(c(64), c(64), 1, eps=1e-3),
              conv_bn(c(64), c(192), 3, eps=1e-3), pool]
    cin = c(192)
    for row in rows:
        if row is None:
            layers.append(pool)
            continue
        row = [c(n) for n in row]
        layers.append(Inception(cin, *row))
        cin = row[0] + row[2] + row[4] + row[5]
    return Classifier(nn.Sequential(*layers), cin, classes,
                      nn.Sequential(nn.Dropout(0.2), nn.Linear(cin, classes)))


class Idioms(Classifier):
    """What people write: padding by hand, a gate that is expanded, means one after the other, and
    ReLU6 within the classifier."""

    def forward(self, x):
        x = F.relu(self.features(F.pad(x, (0, 1, 0, 1))))
        gate = torch.sigmoid(F.adaptive_avg_pool2d(x, 1))
        x = self.last = x * gate.expand_as(x)
        return self.fc(x.mean(3).mean(2))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        return super().forward(x).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dw = nn.Conv2d(c, c, 7, padding=3, groups=c)
        self.norm = nn.LayerNorm(c, eps=1e-6)
        self.a, self.b = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)
        self.scale = nn.Parameter(torch.full((c, 1, 1), 0.5))

    def forward(self, x):
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        y = self.b(F.gelu(self.a(y))).permute(0, 3, 1, 2)
        return x + y * self.scale


def convnext(widths=(96, 192, 384, 768), depths=(3, 3, 9, 3), classes=5):
    layers = [nn.Conv2d(3, widths[0], 4, 4), LayerNorm2d(widths[0], eps=1e-6)]
    for i, (c, depth) in enumerate(zip(widths, depths)):
        if i:
            layers += [LayerNorm2d(widths[i - 1], eps=1e-6), nn.Conv2d(widths[i - 1], c, 2, 2)]
        layers += [NextBlock(c) for _ in range(depth)]
    return Classifier(nn.Sequential(*layers), widths[-1], classes,
                      nn.Sequential(nn.LayerNorm(widths[-1], eps=1e-6),
                                    nn.Linear(widths[-1], classes)))


class Cbam(nn.Module):
    """Convolutional block attention, with the two halves of its channel attention through the same
    layers one after the other, and sums where others have means."""

    def __init__(self, cin, cout):
        super().__init__()
        self.conv = conv_bn(cin, cout, 3, 2)
        self.a, self.b = nn.Conv2d(cout, cout // 2, 1), nn.Conv2d(cout // 2, cout, 1)
        self.c = nn.Conv2d(cout, cout, 1)
        self.spatial = nn.Conv2d(3, 1, 7, padding=3, bias=False)

    def forward(self, x):
        x = self.conv(x)
        mean = self.b(F.relu(self.a(F.adaptive_avg_pool2d(x, 1))))
        x = 3 * x * torch.sigmoid(mean + self.c(F.adaptive_max_pool2d(x, 1)))
        three = torch.cat([x.amax(1, keepdim=True), x.mean(1).unsqueeze(1),
                           x.sum(1, keepdim=True) * 0.1], 1)
        x = 3 * x * torch.sigmoid(self.spatial(three)) + 0.01 * x.sum((2, 3), keepdim=True).sigmoid() * x
        return x


class Scaled(nn.Module):
    """torchvision's transform_input: each channel apart."""

    def forward(self, x):
        return torch.cat([x[:, i].unsqueeze(1) * (0.5 + 0.1 * i) + 0.02 * i for i in range(3)], 1)


class Pyramid(nn.Module):
    """Maps that are resized in every way that PyTorch exports, and joined."""

    def __init__(self):
        super().__init__()
        self.low, self.high = conv_bn(8, 8, 3, 1), conv_bn(8, 8, 3, 2)
        self.top = conv_bn(8, 8, 3, 2)

    def forward(self, x):
        low, high = self.low(x), self.high(x)
        top = self.top(high)
        high = high + F.interpolate(top, scale_factor=2)
        wide = F.interpolate(top, size=low.shape[2:], mode="bilinear", align_corners=True)
        more = F.interpolate(high, scale_factor=2.0, mode="bilinear", align_corners=False)
        odd = F.interpolate(F.interpolate(low, size=(13, 11)), size=low.shape[2:], mode="bilinear")
        return torch.cat([low + wide, more, odd.clamp(min=-0.25) ** 2], 1)


SMALL = {
    "resnet18": lambda: resnet(4, blocks=(1, 1)),
    "resnet50": lambda: resnet(2, True, (1, 2)),
    "mobilenet_v2": lambda: mobilenet_v2(0.1),
    "mobilenet_v3": lambda: mobilenet_v3(0.1),
    "efficientnet": lambda: efficientnet(0.1),
    "densenet": lambda: densenet(2, (2, 9)),
    "shufflenet": lambda: shufflenet((4, 8, 12, 16, 16), (2, 1, 0)),
    "squeezenet": lambda: SqueezeNet(1, 5),
    "regnet": lambda: regnet((8, 16), (1, 2), 4),
    "googlenet": lambda: googlenet(0.06),
    "convnext": lambda: convnext((4, 8), (1, 1)),
    "cbam": lambda: Classifier(nn.Sequential(Scaled(), Cbam(3, 8), Cbam(8, 12)), 12, 5),
    "pyramid": lambda: Classifier(nn.Sequential(conv_bn(3, 8, 3, 2), Pyramid()), 24, 5),
    "idioms": lambda: Idioms(nn.Conv2d(3, 8, 3, 2), 8, 5, nn.Sequential(
        nn.Linear(8, 6), nn.ReLU6(), nn.Linear(6, 5))),
    "trainable": lambda: Classifier(nn.Sequential(conv_bn(3, 8, 3, 2), Residual(nn.Sequential(
        conv_bn(8, 8, 3), conv_bn(8, 8, 3, act=None)))), 8, 5,
        nn.Sequential(nn.Dropout(0.3), nn.Linear(8, 5))),
}
FULL = {
    "resnet18": lambda: resnet(64, classes=500),
    "resnet101": lambda: resnet(64, True, (3, 4, 23, 3), 1000),
    "mobilenet_v2": lambda: mobilenet_v2(1.0, 1000),
    "mobilenet_v3": lambda: mobilenet_v3(1.0, 1000),
    "efficientnet": lambda: efficientnet(1.0, 1000),
    "densenet": lambda: densenet(32, (6, 12, 24, 16), 1000),
    "shufflenet": lambda: shufflenet(classes=500),
    "squeezenet": lambda: SqueezeNet(16, 1000),
    "regnet": lambda: regnet(classes=500),
    "googlenet": lambda: googlenet(1.0, 1000),
    "convnext": lambda: convnext(classes=500),
}
OPSETS = {"mobilenet_v2": 9, "mobilenet_v3": 12, "squeezenet": 10, "shufflenet": 13,
          "googlenet": 11, "convnext": 14, "densenet": 16}


TRAINABLE = ("trainable",)  # exported as they are, with batch norms and dropout
DYNAMIC = ("resnet50", "shufflenet")  # with any number of images


def fill(net, seed):
    """Weights of a useful size, and batch norms that do something."""
    g = torch.Generator().manual_seed(seed)
    for m in net.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            fan = m.weight[0].numel()
            m.weight.data = torch.randn(m.weight.shape, generator=g) * math.sqrt(1.6 / fan)
            if m.bias is not None:
                m.bias.data = torch.randn(m.bias.shape, generator=g) * 0.1
        elif isinstance(m, (nn.BatchNorm2d, nn.LayerNorm)):
            m.weight.data = 0.75 + 0.5 * torch.rand(m.weight.shape, generator=g)
            m.bias.data = torch.randn(m.bias.shape, generator=g) * 0.1
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean = torch.randn(m.weight.shape, generator=g) * 0.1
                m.running_var = 0.75 + 0.5 * torch.rand(m.weight.shape, generator=g)


def class_map(net, x, k):
    """Grad-CAM's map on the last feature map without its ReLU: the sum of the maps weighted by the
    gradient of the score, summed over the pixels as many times as there are; for global average
    pooling and a linear layer these are the classifier's weights."""
    scores = net(x)
    if isinstance(net, SqueezeNet):
        return net.map[0, k]
    net.last.retain_grad()
    scores = net(x)
    (grad,) = torch.autograd.grad(scores[0, k], net.last)
    return (grad[0].sum((1, 2))[:, None, None] * net.last[0]).sum(0)


def write_json(path, side, k, scores, cam, more=None):
    with open(path, "w") as f:
        json.dump({"side": side, "class": k, "scores": [float(f"{v:.7g}") for v in scores],
                   "map_size": list(cam.shape),
                   "map": [float(f"{v:.7g}") for v in cam.flatten()], **(more or {})}, f)
        f.write("\n")


def write_vgg(out):
    """As VGG-16 ends: a flattened map and two linear layers. The map is its LayerCAM."""
    torch.manual_seed(0)
    net = nn.Sequential(conv_bn(3, 6, 3, 2), nn.MaxPool2d(2), conv_bn(6, 8, 3), nn.Flatten(),
                        nn.Linear(8 * 36, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5)).eval()
    fill(net, 7)
    x = formula_input(24)
    torch.onnx.export(net, x, f"{out}/vgg.onnx", opset_version=13)
    last = net[:3](x).detach().requires_grad_()
    scores = net[3:](last)[0]
    k = int(scores.argmax())
    (grad,) = torch.autograd.grad(scores[k], last)
    cam = (grad[0].relu() * last[0]).sum(0).relu().detach()
    write_json(f"{out}/vgg.json", 24, k, scores, cam)


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    full = "--full" in sys.argv
    nets = FULL if full else SMALL
    for name in args[1:] or [*nets] + (["nhwc_keras"] if full else ["vgg", "flat", *HAND]):
        if name == "vgg":
            write_vgg(args[0])
            continue
        if name == "flat":
            torch.manual_seed(0)
            flat = nn.Sequential(conv_bn(3, 4, 3, 2), nn.Flatten(), nn.Linear(4 * 25, 5)).eval()
            torch.onnx.export(flat, formula_input(10), f"{args[0]}/flat.onnx", opset_version=13)
            continue
        if not full and name in HAND:
            side, write = HAND[name]
            made = write(f"{args[0]}/{name}.onnx", side)
            if made:
                scores, k, cam, more = made
                write_json(f"{args[0]}/{name}.json", side, k, scores, cam, more)
            continue
        if full and name == "nhwc_keras":
            scores, k, cam, _ = nhwc(f"{args[0]}/{name}.onnx", 224, 10, True, 32, MOBILENET, 1000)
            write_json(f"{args[0]}/{name}.json", 224, k, scores, cam)
            continue
        torch.manual_seed(0)
        net = nets[name]().eval()
        fill(net, 7)
        side = 224 if full else 40
        x = formula_input(side)
        dynamic = {"input": {0: "n"}, "scores": {0: "n"}} if name in DYNAMIC else None
        torch.onnx.export(net, x, f"{args[0]}/{name}.onnx", opset_version=OPSETS.get(name, 13),
                          input_names=["input"], output_names=["scores"], dynamic_axes=dynamic,
                          training=torch.onnx.TrainingMode.TRAINING if name in TRAINABLE
                          else torch.onnx.TrainingMode.EVAL)
        net.eval()
        scores = net(x)[0]
        k = int(scores.argmax())
        write_json(f"{args[0]}/{name}.json", side, k, scores, class_map(net, x, k).detach())


main()
