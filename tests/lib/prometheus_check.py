#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads Prometheus' text exposition format 0.0.4 more strictly than it does.

usage: prometheus_check.py FILE [METRIC [LABEL=VALUE...]]

Fails on the first line that is wrong, and says which. With METRIC prints the
values of its samples that have these labels, one on a line. FILE is - for
standard input.
"""
import re
import sys

NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')
SAMPLE = re.compile(r"([a-z0-9_]+)\{(.*)\} (\S+)\Z")
NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\+Inf)\Z")
TYPES = ("counter", "gauge", "histogram")
UNESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


class Wrong(Exception):
    pass


def demand(condition, what):
    if not condition:
        raise Wrong(what)


def parse_labels(text):
    labels = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        demand(match, "labels are malformed at: " + text[at:])
        name, value, end = match.groups()
        demand(name not in labels, "label %s is there twice" % name)
        labels[name] = re.sub(r"\\.", lambda m: UNESCAPED[m[0]], value)
        at = match.end()
        demand(end or at == len(text), "labels end too early")
    demand(not text.endswith(","), "a comma ends the labels")
    return labels


def parse_number(text):
    demand(NUMBER.match(text), "%s is no number" % text)
    return float(text)


class Exposition:
    def __init__(self):
        self.types = {}
        self.helped = set()
        self.current = None
        self.samples = []  # (name, labels, value as text)
        self.series = set()

    def header(self, line):
        word, name, rest = line[2:].split(" ", 2)
        demand(NAME.match(name), "%s is no name of a metric" % name)
        demand(name.startswith("msyncfs_"), "%s lacks the prefix" % name)
        if word == "HELP":
            demand(name not in self.helped, "HELP of %s comes again" % name)
            demand(rest.strip() == rest and rest, "HELP says nothing")
            self.helped.add(name)
            self.current = name
            return
        demand(word == "TYPE", "%s is no header" % word)
        demand(self.current == name, "TYPE doesn't follow its HELP")
        demand(name not in self.types, "TYPE of %s comes again" % name)
        demand(rest in TYPES, "%s is no type" % rest)
        demand(name.endswith("_total") == (rest == "counter"),
               "%s: counters, and no others, end in _total" % name)
        demand(not re.search("_(count|sum|bucket)$", name),
               "%s ends as samples of histograms do" % name)
        self.types[name] = rest

    def sample(self, line):
        match = SAMPLE.match(line)
        demand(match, "this is no sample")
        name, labels, value = match.groups()
        labels = parse_labels(labels)
        family = name
        kind = self.types.get(self.current)
        demand(kind, "a sample before its TYPE")
        if kind == "histogram":
            family = re.sub("_(bucket|sum|count)$", "", name)
            demand(family != name, "%s is no sample of a histogram" % name)
            demand(("le" in labels) == name.endswith("_bucket"),
                   "buckets, and no others, have le")
        demand(family == self.current, "%s among those of %s"
               % (name, self.current))
        demand("store" in labels and "mountpoint" in labels,
               "store or mountpoint is missing")
        key = (name, tuple(sorted(labels.items())))
        demand(key not in self.series, "this series is there twice")
        self.series.add(key)
        parse_number(value)
        self.samples.append((name, labels, value))

    def histograms(self):
        parts = {}
        for name, labels, value in self.samples:
            match = re.match("(.*)_(bucket|sum|count)$", name)
            if not match or self.types.get(match[1]) != "histogram":
                continue
            own = {k: v for k, v in labels.items() if k != "le"}
            key = (match[1], tuple(sorted(own.items())))
            part = parts.setdefault(key, {"bucket": []})
            if match[2] == "bucket":
                part["bucket"].append((labels["le"], parse_number(value)))
            else:
                part[match[2]] = parse_number(value)
        for (name, own), part in parts.items():
            self.histogram("%s%s" % (name, dict(own)), part)

    def histogram(self, name, part):
        buckets = part["bucket"]
        demand("sum" in part and "count" in part and buckets,
               "%s lacks sum, count or buckets" % name)
        demand(buckets[-1][0] == "+Inf", "%s: +Inf isn't last" % name)
        bounds = [parse_number(bound) for bound, _ in buckets]
        counts = [count for _, count in buckets]
        demand(all(a < b for a, b in zip(bounds, bounds[1:])),
               "%s: bounds don't grow" % name)
        demand(all(a <= b for a, b in zip(counts, counts[1:])),
               "%s: buckets aren't cumulative" % name)
        demand(counts[-1] == part["count"], "%s: +Inf isn't count" % name)

    def read(self, data):
        text = data.decode("utf-8")
        demand(text.endswith("\n"), "the last line has no end")
        for number, line in enumerate(text[:-1].split("\n"), 1):
            try:
                if line.startswith("# "):
                    self.header(line)
                else:
                    self.sample(line)
            except (Wrong, ValueError) as wrong:
                raise Wrong("line %d: %s: %s" % (number, wrong, line))
        demand(self.samples, "there is no sample")
        demand(self.helped == set(self.types), "a HELP without a TYPE")
        self.histograms()


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    if arguments[0] == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(arguments[0], "rb") as file:
            data = file.read()
    exposition = Exposition()
    try:
        exposition.read(data)
    except (Wrong, UnicodeDecodeError) as wrong:
        sys.exit("%s: %s" % (arguments[0], wrong))
    if len(arguments) == 1:
        return
    wanted = dict(argument.split("=", 1) for argument in arguments[2:])
    for name, labels, value in exposition.samples:
        if name == arguments[1] and wanted.items() <= labels.items():
            print(value)


main(sys.argv[1:])
