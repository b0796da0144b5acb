#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a terminal showed, from standard input, as an SVG on standard output.

Understands the colours that msyncctl uses (SGR 0, 1, 2, 31 to 33). Block
elements are drawn as rectangles: fonts leave gaps between them. A line that
begins with "$ " is a command.
"""
import re
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 8.4, 19, 14
COLORS = {"31": "#ff6b6b", "32": "#51cf66", "33": "#fcc419"}
PLAIN, DIM, BACK = "#dee2e6", "#868e96", "#1e2227"
# Glyph: the part of the cell's height that is filled, from below.
BLOCKS = {"█": 1, "▄": 0.5, "░": 1, "▒": 1, "◆": 1}
ABSENT = "#3b4148"


def cells(text):
    """(character, colour, bold) for each character; styles outlive lines."""
    color, bold = PLAIN, False
    for part in re.split(r"(\x1b\[[0-9;]*m)", text):
        if not part.startswith("\x1b"):
            yield from ((c, color, bold) for c in part)
            continue
        for code in part[2:-1].split(";"):
            if code in ("", "0"):
                color, bold = PLAIN, False
            elif code == "1":
                bold = True
            elif code == "2":
                color = DIM
            else:
                color = COLORS.get(code, color)


def draw(row, line):
    y = MARGIN + row * HEIGHT
    run, start, style = "", 0, None

    def text():
        if run.strip():
            weight = ' font-weight="bold"' if style[1] else ""
            print(f'<text x="{MARGIN + start * WIDTH:.1f}" y="{y + 14}" '
                  f'textLength="{len(run) * WIDTH:.1f}" xml:space="preserve" '
                  f'fill="{style[0]}"{weight}>{escape(run)}</text>')

    for column, (char, color, bold) in enumerate(line):
        if char in BLOCKS:
            text()
            run, style = "", None
            part = BLOCKS[char]
            color = ABSENT if char == "░" else color
            print(f'<rect x="{MARGIN + column * WIDTH + 0.4:.1f}" '
                  f'y="{y + HEIGHT * (1 - part) + 1:.1f}" '
                  f'width="{WIDTH - 0.8:.1f}" '
                  f'height="{HEIGHT * part - 2:.1f}" fill="{color}"/>')
        elif style == (color, bold):
            run += char
        else:
            text()
            run, start, style = char, column, (color, bold)
    if style:
        text()


def lines_of(text):
    line = []
    for cell in cells(text):
        if cell[0] == "\n":
            yield line
            line = []
        else:
            line.append(cell)
    yield line


def main():
    text = sys.stdin.read().replace("\r", "").rstrip("\n")
    text = re.sub(r"(?m)^(\$ .*)$", "\x1b[1m\\1\x1b[0m", text)
    lines = list(lines_of(text))
    width = max(map(len, lines)) * WIDTH + 2 * MARGIN
    height = len(lines) * HEIGHT + 2 * MARGIN
    print('<?xml version="1.0" encoding="UTF-8"?>')
    print("<!-- SPDX-License-Identifier: Apache-2.0 -->")
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
          f'height="{height}" font-family="monospace" font-size="14">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>')
    for row, line in enumerate(lines):
        draw(row, line)
    print("</svg>")


main()
