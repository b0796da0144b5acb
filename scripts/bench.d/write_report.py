#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""write_report.py FIGURES [DOCS]: what scripts/bench has measured, for people.

Reads the file that "scripts/bench --figures" writes (its lines are explained
in figures.sh) and writes DOCS/benchmarks.md and the pictures in
DOCS/benchmarks/: for each group of rows a table whose colours tell at a
glance who is how fast beside the store directory itself, for each growth
curve a plot by gnuplot. DOCS is docs. What figures can't say stands in
notes/GROUP.md and is put below the tables.
"""
import os
import subprocess
import sys
from collections import OrderedDict
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))

GROUPS = OrderedDict([
    ("io", "Reads, writes and trees of small files"),
    ("meta", "Names and attributes"),
    ("fsync", "Programs that sync every transaction"),
    ("slow", "The same on a disk whose flush takes a millisecond"),
    ("staged", "Staged files"),
])

WHAT = {
    "kernel-write-4k-seq": "4 KiB writes in order, kernel path",
    "kernel-write-4k-rand": "4 KiB writes at random, kernel path",
    "kernel-read-4k-seq": "4 KiB reads in order, kernel path",
    "kernel-read-4k-rand": "4 KiB reads at random, kernel path",
    "kernel-write-1m": "1 MiB writes, kernel path",
    "kernel-read-1m": "1 MiB reads, kernel path",
    "daemon-write-4k-rand": "4 KiB writes at random, daemon path",
    "daemon-read-4k-seq": "4 KiB first reads in order, daemon path",
    "daemon-read-4k-rand": "4 KiB first reads at random, daemon path",
    "untar": "untar 4,000 files of 6 KiB",
    "git-clone": "git clone of 2,000 files",
    "read-tree": "read 4,000 files, a new mount",
    "rm-tree": "rm -rf 4,000 files",
    "meta-create": "create a file",
    "meta-write": "create, write 4 KiB, close",
    "meta-open": "open and close",
    "meta-stat": "stat, known to FUSE",
    "meta-stat-cold": "stat, not yet known to FUSE",
    "meta-list": "list 1,000 names",
    "meta-list-cold": "list 1,000 names, not yet known to FUSE",
    "meta-chmod": "chmod",
    "meta-utimens": "utimensat",
    "meta-setxattr": "setxattr",
    "meta-getxattr": "getxattr",
    "meta-truncate": "truncate",
    "meta-rename": "rename",
    "meta-link": "link",
    "meta-symlink": "symlink",
    "meta-readlink": "readlink",
    "meta-mkdir": "mkdir",
    "meta-fsyncdir": "fsync of a directory",
    "meta-unlink": "unlink",
    "meta-rmdir": "rmdir",
    "sqlite-wal": "SQLite, write-ahead log",
    "sqlite-delete": "SQLite, rollback journal",
    "sqlite8-wal": "8 x SQLite, write-ahead log",
    "sqlite8-delete": "8 x SQLite, rollback journal",
    "pgbench": "PostgreSQL, pgbench, 8 clients",
    "redis": "Redis, appendfsync always, 8 clients",
    "staged-sqlite-wal": "SQLite, write-ahead log, slow disk",
    "staged-sqlite-delete": "SQLite, rollback journal, slow disk",
    "staged-pause": "longest write during a commit of 64 MiB",
    "staged-pause-slow": "the same, slow disk",
    "staged-commit": "512 MiB committed and written out",
    "staged-flushes": "flushes of the device for one commit",
    "staged-written": "bytes to the device for 64 MiB",
    "staged-memory": "the daemon's memory for 64 MiB staged",
}

WHO = {
    "store": "the store itself",
    "msyncfs": "msyncfs",
    "msyncfs-daemon": "msyncfs, daemon path",
    "one": "aim",
}

COLUMNS = ["store", "msyncfs", "msyncfs-daemon", "strict", "group", "relaxed",
           "nofsync", "staged", "bindfs", "fuse-overlayfs", "mergerfs",
           "eatmydata", "tmpfs"]

CURVES = OrderedDict([
    ("files", ("Files in a directory", "files in the directory")),
    ("clients", ("Clients at work at one time", "client processes")),
    ("size", ("Size of a file", "size of the file, bytes")),
    ("dirty", ("Dirty files", "dirty files")),
])

# Of the summary: group, row, the contender that stands for msyncfs there.
SUMMARY = [
    ("io", "kernel-read-1m", "msyncfs"),
    ("io", "kernel-read-4k-rand", "msyncfs"),
    ("io", "kernel-write-4k-rand", "msyncfs"),
    ("io", "untar", "msyncfs"),
    ("io", "git-clone", "msyncfs"),
    ("io", "rm-tree", "msyncfs"),
    ("slow", "slow-sqlite-wal", "staged"),
    ("slow", "slow-sqlite-delete", "staged"),
    ("slow", "slow-pgbench", "staged"),
    ("slow", "slow-redis", "staged"),
]
SUMMARY_OTHERS = ["bindfs", "fuse-overlayfs", "mergerfs", "eatmydata"]

MACHINE = {
    "rounds": "rounds of a row, at most",
    "seconds": "seconds of a turn that syncs",
    "file-size": "files read and written, MiB",
    "cpus": "processors",
    "cpu": "processor",
    "memory": "memory, MiB",
    "load": "load average at the beginning",
    "filesystem": "file system of the store",
    "below": "below that",
    "passthrough": "kernel path",
}

MORE_IS_BETTER = ("op/s", "MiB/s")


class Figures:
    """What a file of figures holds; of a row measured twice, the last."""

    def __init__(self, path):
        self.machine = OrderedDict()
        self.commands = []
        self.rows = OrderedDict()     # (group, row) -> {contender: figure}
        self.ratios = OrderedDict()   # (group, row, ours, theirs) -> figure
        self.points = OrderedDict()   # (curve, operation, who) -> {x: ...}
        self.units = {}               # (curve, operation) -> unit
        self.failed = []
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("#") or not line.strip():
                    continue
                try:
                    self.take(line.rstrip("\n").split("\t"))
                except (ValueError, IndexError):
                    sys.exit(f"{path}:{number}: expected a line as in "
                             f"figures.sh, not: {line.rstrip()}")

    def take(self, field):
        kind = field[0]
        if kind == "machine":
            _, key, value = field
            if key == "command":
                self.commands.append(value)
            self.machine[key] = value
        elif kind == "row":
            _, group, row, who, unit, median, low, high, rounds = field
            self.rows.setdefault((group, row), OrderedDict())[who] = (
                unit, float(median), float(low), float(high), int(rounds))
        elif kind == "ratio":
            _, group, row, ours, theirs, bar, median, low, high, met = field
            self.ratios[group, row, ours, theirs] = (bar, median, low, high,
                                                     met)
        elif kind == "point":
            (_, curve, operation, x, who, unit, median, low, high,
             _rounds) = field
            self.units[curve, operation] = unit
            self.points.setdefault((curve, operation, who), {})[int(x)] = (
                float(median), float(low), float(high))
        elif kind == "failed":
            self.failed.append(field[1])
        else:
            raise ValueError(kind)


def short(number):
    """Three digits, as people write them."""
    if number >= 1000:
        return f"{number:,.0f}"
    if number >= 100:
        return f"{number:.0f}"
    if number >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}"


def what(row):
    return WHAT.get(row) or WHAT.get(row.replace("slow-", "", 1)) or row


def times_the_store(figures, who):
    """How many times as fast as the store; None: can't be said."""
    if "store" not in figures or who not in figures:
        return None
    unit, store = figures["store"][:2]
    own = figures[who][1]
    if own == 0 or store == 0:
        return None
    return own / store if unit in MORE_IS_BETTER else store / own


# --- pictures: tables in colours ---------------------------------------------

def colour(times):
    if times is None:
        return "#f1f3f5", "#868e96"
    for least, back, ink in ((1.5, "#2b8a3e", "#ffffff"),
                             (0.9, "#8ce99a", "#212529"),
                             (0.6, "#d8f5a2", "#212529"),
                             (0.4, "#ffec99", "#212529"),
                             (0.2, "#ffc078", "#212529")):
        if times >= least:
            return back, ink
    return "#ff8787", "#212529"


def times_text(times):
    if times is None:
        return "-"
    return f"{times:.2f}" if times < 9.95 else f"{times:.0f}"


def draw_table(path, title, head, lines, remark=""):
    """lines: [name, times or None...]; one picture."""
    left, cell, high = 330, 112, 26
    width = left + cell * len(head) + 16
    height = high * (len(lines) + 2) + 44
    with open(path, "w", encoding="utf-8") as out:
        print('<?xml version="1.0" encoding="UTF-8"?>\n'
              "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
              '<svg xmlns="http://www.w3.org/2000/svg" '
              f'width="{width}" height="{height}" '
              'font-family="sans-serif" font-size="13">\n'
              '<rect width="100%" height="100%" fill="#ffffff"/>\n'
              f'<text x="12" y="22" font-weight="bold" font-size="15">'
              f'{escape(title)}</text>', file=out)
        for i, name in enumerate(head):
            print(f'<text x="{left + cell * i + cell / 2}" y="{high + 24}" '
                  f'text-anchor="middle" font-weight="bold">{escape(name)}'
                  "</text>", file=out)
        for n, (name, *values) in enumerate(lines):
            y = high * (n + 1) + 32
            print(f'<text x="12" y="{y + 18}">{escape(name)}</text>',
                  file=out)
            for i, times in enumerate(values):
                back, ink = colour(times)
                x = left + cell * i
                print(f'<rect x="{x + 2}" y="{y + 1}" width="{cell - 4}" '
                      f'height="{high - 3}" rx="3" fill="{back}"/>'
                      f'<text x="{x + cell / 2}" y="{y + 17}" '
                      f'text-anchor="middle" fill="{ink}">'
                      f"{times_text(times)}</text>", file=out)
        print(f'<text x="12" y="{height - 10}" fill="#868e96" '
              'font-size="11">speed beside the store directory itself, which '
              f"is 1.00; more is faster{escape(remark)}</text>\n</svg>",
              file=out)


def columns_of(figures, group):
    seen = {who for (g, _), row in figures.rows.items() if g == group
            for who in row}
    return [who for who in COLUMNS if who in seen]


def draw_group(figures, group, folder):
    head = [who for who in columns_of(figures, group) if who != "store"]
    lines = []
    for (g, row), found in figures.rows.items():
        values = [times_the_store(found, who) for who in head]
        if g == group and any(value is not None for value in values):
            lines.append([what(row)] + values)
    if not lines:
        return None
    name = f"{group}.svg"
    draw_table(os.path.join(folder, name), GROUPS.get(group, group),
               head, lines)
    return name


def draw_summary(figures, folder):
    lines = []
    for group, row, ours in SUMMARY:
        found = figures.rows.get((group, row))
        if not found or ours not in found:
            continue
        name = what(row)
        if group == "slow":
            name += ", 1 ms disk"
        lines.append([name, times_the_store(found, ours)] +
                     [times_the_store(found, who) for who in SUMMARY_OTHERS])
    if not lines:
        return
    draw_table(os.path.join(folder, "summary.svg"),
               "How many times as fast as the filesystem itself",
               ["msyncfs"] + SUMMARY_OTHERS, lines,
               "; 1 ms disk: a flush takes that long, msyncfs has the files "
               "staged")


# --- pictures: curves --------------------------------------------------------

STYLES = {"store": "#868e96", "msyncfs": "#1971c2",
          "msyncfs-daemon": "#e8590c", "staged": "#2b8a3e",
          "group": "#9c36b5", "relaxed": "#0b7285", "strict": "#c92a2a"}


def gnuplot_panel(operation, unit, label, series):
    """The lines of a gnuplot script for one panel, its data within it."""
    blocks, plots = [], []
    for n, (who, points) in enumerate(series):
        blocks.append(f"$d{n} << END")
        blocks += [f"{x} {m} {low} {high}"
                   for x, (m, low, high) in sorted(points.items())]
        blocks.append("END")
        line = f"lc rgb '{STYLES.get(who, '#343a40')}'"
        plots.append(f"$d{n} using 1:2:3:4 with yerrorbars pt 7 ps 0.4 "
                     f"{line} notitle, $d{n} using 1:2 with lines lw 2 "
                     f"{line} title '{who}'")
    top = max((high for _, points in series
               for _, _, high in points.values()), default=1)
    least = min((low for _, points in series
                 for _, low, _ in points.values()), default=1)
    scale = "set logscale y" if least > 0 else "unset logscale y"
    limits = ("set yrange [*:*]" if least > 0
              else f"set yrange [0:{max(top, 1) * 1.2}]")
    return blocks + [scale, limits, f"set title '{operation}'",
                     f"set xlabel '{label}'", f"set ylabel '{unit}'",
                     "plot " + ", \\\n  ".join(plots)]


def draw_curve(figures, curve, folder):
    operations = list(OrderedDict.fromkeys(
        o for c, o, _ in figures.points if c == curve))
    if not operations:
        return None
    name = f"curve-{curve}.svg"
    path = os.path.join(folder, name)
    columns = 2 if len(operations) > 1 else 1
    rows = (len(operations) + columns - 1) // columns
    script = [f"set terminal svg size {480 * columns},{320 * rows} "
              "background rgb 'white' font 'sans-serif,12'",
              f"set output '{path}'",
              "set logscale x", "set format x '%.0s%c'",
              "set grid lc rgb '#dee2e6'", "set key outside below horizontal samplen 2",
              f"set multiplot layout {rows},{columns}"]
    for operation in operations:
        series = [(who, points)
                  for (c, o, who), points in figures.points.items()
                  if (c, o) == (curve, operation)]
        script += gnuplot_panel(operation, figures.units[curve, operation],
                                CURVES[curve][1], series)
    script.append("unset multiplot")
    run = subprocess.run(["gnuplot"], input="\n".join(script) + "\n",
                         text=True, capture_output=True, check=False)
    if run.returncode != 0:
        sys.exit(f"gnuplot: {run.stderr.strip()}")
    with open(path, encoding="utf-8") as made:
        text = made.read()
    head, rest = text.split("\n", 1)
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"{head}\n<!-- SPDX-License-Identifier: Apache-2.0 -->\n")
        out.writelines(line.rstrip() + "\n" for line in rest.splitlines())
    return name


# --- the text ----------------------------------------------------------------

def markdown_table(out, head, lines):
    print("| " + " | ".join(head) + " |", file=out)
    print("|" + "---|" * len(head), file=out)
    for line in lines:
        print("| " + " | ".join(line) + " |", file=out)
    print(file=out)


def cell(found, who):
    if who not in found:
        return "-"
    unit, median, low, high, rounds = found[who]
    text = f"{short(median)} {unit}"
    return f"{text} ({short(low)}..{short(high)})" if rounds > 1 else text


def put_notes(out, name):
    path = os.path.join(HERE, "notes", f"{name}.md")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as text:
            lines = [line for line in text.read().splitlines()
                     if "SPDX-License-Identifier" not in line]
        print("\n".join(lines).strip() + "\n", file=out)


def put_group(figures, group, folder, out):
    rows = [(row, found) for (g, row), found in figures.rows.items()
            if g == group]
    if not rows:
        return
    print(f"## {GROUPS.get(group, group)}\n", file=out)
    picture = draw_group(figures, group, folder)
    if picture:
        print(f"![{GROUPS.get(group, group)}](benchmarks/{picture})\n",
              file=out)
    put_notes(out, group)
    bars = [[what(row), ours, theirs, bar if bar != "-" else "",
             median, f"{low}..{high}", met if met != "-" else ""]
            for (g, row, ours, theirs), (bar, median, low, high, met)
            in figures.ratios.items() if g == group and bar != "-"]
    if bars:
        print("What was aimed at, as a ratio of speeds:\n", file=out)
        markdown_table(out, ["", "ours", "against", "aim", "median",
                             "lowest..highest", "met"], bars)
    print("<details><summary>All figures: median (lowest..highest)"
          "</summary>\n", file=out)
    if group == "staged":
        lines = [[what(row), who, cell(found, who)]
                 for row, found in rows for who in found]
        markdown_table(out, ["", "of", ""], lines)
    else:
        head = columns_of(figures, group)
        lines = [[what(row)] + [cell(found, who) for who in head]
                 for row, found in rows]
        markdown_table(out, [""] + [WHO.get(who, who) for who in head],
                       lines)
    print("</details>\n", file=out)


def put_curve(figures, curve, folder, out):
    picture = draw_curve(figures, curve, folder)
    if not picture:
        return
    title = CURVES[curve][0]
    print(f"### {title}\n\n![{title}](benchmarks/{picture})\n", file=out)
    put_notes(out, f"curve-{curve}")
    print("<details><summary>All points: median (lowest..highest)</summary>\n",
          file=out)
    lines = []
    for (c, operation, who), points in figures.points.items():
        if c != curve:
            continue
        unit = figures.units[curve, operation]
        for x, (median, low, high) in sorted(points.items()):
            lines.append([operation, who, f"{x:,}",
                          f"{short(median)} {unit} "
                          f"({short(low)}..{short(high)})"])
    markdown_table(out, ["operation", "of", CURVES[curve][1], ""], lines)
    print("</details>\n", file=out)


def put_machine(figures, out):
    print("## The machine and the commands\n", file=out)
    lines = [[MACHINE.get(key, key), value]
             for key, value in figures.machine.items() if key != "command"]
    markdown_table(out, ["", ""], lines)
    print("```sh", file=out)
    for command in OrderedDict.fromkeys(figures.commands):
        print(command, file=out)
    print("```\n", file=out)


def write(figures, docs):
    folder = os.path.join(docs, "benchmarks")
    os.makedirs(folder, exist_ok=True)
    draw_summary(figures, folder)
    with open(os.path.join(docs, "benchmarks.md"), "w",
              encoding="utf-8") as out:
        print("<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
              "<!-- Written by scripts/bench --report; notes are in "
              "scripts/bench.d/notes. -->\n# How fast it is\n", file=out)
        put_notes(out, "report")
        if os.path.exists(os.path.join(folder, "summary.svg")):
            print("![Summary](benchmarks/summary.svg)\n", file=out)
        for group in GROUPS:
            put_group(figures, group, folder, out)
        if figures.points:
            print("## Growth\n", file=out)
            put_notes(out, "curves")
        for curve in CURVES:
            put_curve(figures, curve, folder, out)
        if figures.failed:
            print("## Not measured\n\n" + ", ".join(figures.failed) + "\n",
                  file=out)
        put_machine(figures, out)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit("usage: write_report.py FIGURES [DOCS]")
    docs = (sys.argv[2] if len(sys.argv) == 3
            else os.path.join(HERE, "..", "..", "docs"))
    write(Figures(sys.argv[1]), os.path.normpath(docs))


main()
