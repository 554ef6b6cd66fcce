#!/usr/bin/env python3
"""Computes how a training step scales over many processes, from measured constants.

    tests/soak/scaling.py [--arch NAME,...] [--gbits 10] [--latency-us 100] [--overhead-us 20]
                          [--add-gbs 6.9] [--speed 1] [--batch 4] [--precision fp32|bf16]
                          [--ranks 2,8,32,64,128,256] [--halves]

A simulation in the manner of LogGP: a message of n bytes keeps the sender's way out and the
receiver's way in busy for overhead + n / rate, arrives a latency later, and is added at a rate of
its own. Buckets become final at given parts of the backward pass, the same on all processes, and go
up and down the tree of train/courier.c, with its two places for messages that arrive and in its
order. What is not through at the end of the backward pass is added to the step. --halves: instead of
whole buckets up a tree, halves, quarters, ... go between pairs at distances 1, 2, 4, ... (recursive
halving and doubling), which adds the same pairs of the same tree; the program does not do that.

The constants below are those of 4 images of 224x224 on one thread of an AMD EPYC with AVX-512,
measured on 2026-11-30 by `bench --train`, and by a build that printed when its buckets were final.
--speed is a process that is so many times as fast, as with more threads; --batch are the images of
a process. The last column is up to how many processes, of 2 to 1024, nine tenths of the speed are
left. Give your own constants.
"""

import argparse
import heapq
import sys

# Seconds of forward pass, loss and update, and of the backward pass; and of each bucket the floats
# and the part of the backward pass after which it is final.
NETWORKS = {
    "resnet50": (0.52, 1.07, [
        (3101672, .04), (2360320, .09), (2102272, .17), (2360320, .21), (3150848, .33),
        (3412992, .42), (2497024, .50), (2234368, .58), (2170368, .66), (1908480, .85),
        (258368, 1)]),
    "mobilenet_v1": (0.09, 0.20, [(2613224, .32), (1481728, .66), (137024, 1)]),
    "vgg16": (0.48, 1.10, [
        (4194304, .07), (3910120, .12), (2359808, .18), (2359808, .23), (2359808, .35),
        (2359808, .44), (2360320, .65), (295168, .71), (260160, 1)]),
    "inception_v3": (0.43, 0.81, [
        (4194304, .24), (4194304, .24), (4194304, .42), (4194304, .42), (2352744, .50),
        (2097280, .61), (2159104, .73), (2130432, .80), (796800, .90), (194400, 1)]),
}


class Simulation:
    """Events in order of time, and when each way out, way in and processor is free again."""

    def __init__(self, link):
        self.link = link
        self.heap = []
        self.count = 0
        self.way_out, self.way_in, self.processor = {}, {}, {}

    def at(self, time, action):
        self.count += 1
        heapq.heappush(self.heap, (time, self.count, action))

    def send(self, time, source, target, size, arrived):
        """A message that can leave from `time` on."""
        begin = max(time, self.way_out.get(source, 0), self.way_in.get(target, 0))
        if begin > time:
            self.at(begin, lambda: self.send(begin, source, target, size, arrived))
            return
        end = begin + self.link.overhead + size / self.link.rate
        self.way_out[source] = self.way_in[target] = end
        self.at(end + self.link.latency, lambda: arrived(end + self.link.latency))

    def add(self, time, rank, floats):
        """Returns when so many floats have been added."""
        end = max(time, self.processor.get(rank, 0)) + 4 * floats / self.link.add_rate
        self.processor[rank] = end
        return end

    def run(self):
        while self.heap:
            heapq.heappop(self.heap)[2]()


class Link:
    def __init__(self, options):
        self.rate = options.gbits * 1e9 / 8
        self.latency = options.latency_us * 1e-6
        self.overhead = options.overhead_us * 1e-6
        self.add_rate = options.add_gbs * 1e9
        self.float_bytes = 2 if options.precision == "bf16" else 4


class Tree:
    """The program's way: train/courier.c."""

    PLACES = 2

    def __init__(self, ranks, buckets, link):
        self.ranks, self.buckets, self.link = ranks, buckets, link
        self.simulation = Simulation(link)
        self.children = [self.children_of(rank) for rank in range(ranks)]
        order = range(len(buckets))
        self.joined = [[0] * len(buckets) for _ in range(ranks)]
        # What arrives at a rank, in this order, and how much of it has a place.
        self.arrivals = [[(k, child) for k in order for child in self.children[rank]]
                         for rank in range(ranks)]
        self.placed = [0] * ranks
        self.offered = [{} for _ in range(ranks)]  # (bucket, child) -> since when
        self.end = 0.0

    def children_of(self, rank):
        level, children = 1, []
        while level < self.ranks and rank % (2 * level) == 0:
            if rank + level < self.ranks:
                children.append(rank + level)
            level *= 2
        return children

    @staticmethod
    def parent_of(rank):
        return rank & (rank - 1)

    def size(self, k):
        return self.buckets[k][0] * self.link.float_bytes

    def place(self, time, rank):
        """Gives the next arrival a place."""
        if self.placed[rank] == len(self.arrivals[rank]):
            return
        k, child = self.arrivals[rank][self.placed[rank]]
        self.placed[rank] += 1
        if (k, child) in self.offered[rank]:
            self.fetch(max(time, self.offered[rank][k, child]), rank, k, child)
        else:
            self.offered[rank][k, child] = None  # the place waits

    def offer(self, time, rank, k):
        """A rank has its sum of a bucket for its parent."""
        parent = self.parent_of(rank)
        if (k, rank) in self.offered[parent]:
            self.fetch(time, parent, k, rank)
        else:
            self.offered[parent][k, rank] = time

    def fetch(self, time, rank, k, child):
        def arrived(when):
            when = max(when, self.buckets[k][1])
            done = self.simulation.add(when, rank, self.buckets[k][0])
            self.simulation.at(done, lambda: self.added(done, rank, k))
        self.simulation.at(time, lambda: self.simulation.send(time, child, rank, self.size(k),
                                                              arrived))

    def added(self, time, rank, k):
        self.joined[rank][k] += 1
        self.place(time, rank)
        self.check(time, rank, k)

    def check(self, time, rank, k):
        if time < self.buckets[k][1] or self.joined[rank][k] < len(self.children[rank]):
            return
        if rank > 0:
            self.offer(time, rank, k)
        else:
            self.spread(time, rank, k)

    def spread(self, time, rank, k):
        self.end = max(self.end, time)
        for child in reversed(self.children[rank]):
            def arrived(when, child=child):
                self.spread(when, child, k)
            self.simulation.send(time, rank, child, self.size(k), arrived)

    def run(self):
        for k, (_, final) in enumerate(self.buckets):
            for rank in range(self.ranks):
                if not self.children[rank]:
                    self.simulation.at(final, lambda rank=rank, k=k, final=final:
                                       self.check(final, rank, k))
        for rank in range(self.ranks):
            for _ in range(self.PLACES):
                self.place(0.0, rank)
        self.simulation.run()
        return self.end


class Halves:
    """Recursive halving and doubling, seen from one of 2^n equal ranks."""

    def __init__(self, ranks, buckets, link):
        self.levels = ranks.bit_length() - 1
        self.buckets, self.link = buckets, link
        self.simulation = Simulation(link)
        self.end = 0.0

    def step(self, time, k, number):
        if number == 2 * self.levels:
            self.end = max(self.end, time)
            return
        up = number < self.levels
        level = number if up else 2 * self.levels - 1 - number
        floats = self.buckets[k][0] / 2 ** (level + 1)

        def arrived(when):
            done = self.simulation.add(when, 0, floats) if up else when
            self.simulation.at(done, lambda: self.step(done, k, number + 1))
        self.simulation.send(time, 0, 0, floats * self.link.float_bytes, arrived)

    def run(self):
        for k, (_, final) in enumerate(self.buckets):
            self.simulation.at(final, lambda k=k, final=final: self.step(final, k, 0))
        self.simulation.run()
        return self.end


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--arch", default=",".join(NETWORKS), type=lambda text: text.split(","))
    parser.add_argument("--gbits", default=10, type=float, help="of a link in each direction")
    parser.add_argument("--latency-us", default=100, type=float)
    parser.add_argument("--overhead-us", default=20, type=float, help="of a message")
    parser.add_argument("--add-gbs", default=6.9, type=float, help="GB/s of floats that are added")
    parser.add_argument("--speed", default=1, type=float, help="of a process")
    parser.add_argument("--batch", default=4, type=float, help="images of a process")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--ranks", default="2,8,32,64,128,256", type=numbers)
    parser.add_argument("--halves", action="store_true")
    options = parser.parse_args()
    link = Link(options)
    print("| network | bytes | step of one |" +
          "".join(f" {ranks} |" for ranks in options.ranks) + " 90 % up to |\n|---|---|---|" +
          "---|" * (len(options.ranks) + 1))
    for arch in options.arch:
        other, backward, buckets = NETWORKS[arch]
        factor = options.batch / 4 / options.speed
        other, backward = other * factor, backward * factor
        buckets = [(floats, part * backward) for floats, part in buckets]
        way = Halves if options.halves else Tree

        def exposed(ranks):
            return max(0.0, way(ranks, buckets, link).run() - backward)

        def efficiency(late):
            return (other + backward) / (other + backward + late)

        late = [exposed(ranks) for ranks in options.ranks]
        cells = [f"{100 * efficiency(x):.0f} % ({x * 1000:.0f} ms)" for x in late]
        most = 1
        while most < 1024 and efficiency(exposed(2 * most)) >= 0.9:
            most *= 2
        size = sum(floats for floats, _ in buckets) * link.float_bytes
        print(f"| {arch} | {size / 1e6:.0f} MB | {other + backward:.2f} s | {' | '.join(cells)} | "
              f"{most if most < 1024 else '1024 or more'} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
