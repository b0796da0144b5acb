#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Events for tests/recipes/event-log.sh.

	event_log.py write FILE WRITER COUNT [MARKS]
		appends COUNT events, each by one write(2). An fsync now and
		then, after which "durable WRITER NUMBER" is written to MARKS
		(by a write of its own: it may be a file or a recorded disk's
		mark). COUNT 0: until a write fails, which is no error then
	event_log.py read FILE poll|map WRITERS
		reads along until the last event of WRITERS writers has come.
		What isn't an event, or not the next one of its writer, is an
		error; so are bytes that change after they were seen first
	event_log.py check FILE MARKS whole|part
		nothing but events from the first on, none of those missing
		that MARKS says are durable; prints how many there are. With
		"part" the last one may be there in part, if it is the next
		of its writer

An event is a line: WRITER NUMBER PADDING CHECKSUM. Its length, up to 3 pages,
follows from the number, so events begin and end anywhere in pages. The last
one of a writer has "end" for its padding.
"""
import mmap
import os
import sys
import time
import zlib

GIVE_UP = 100  # seconds without anything new


def event(writer, number, padding=None):
    if padding is None:
        size = (number * 977 + writer * 131) % (300, 5000, 12000)[number % 3]
        padding = "x" * (size + 1)
    text = f"{writer} {number} {padding}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


def write(path, writer, count, marks=None):
    number = 0
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        while count == 0 or number < count:
            put(fd, event(writer, number))
            number += 1
            if number % 4 == 0 and marks:
                os.fsync(fd)
                mark(marks, f"durable {writer} {number}\n")
    except OSError as error:
        if count == 0:
            return
        raise error
    put(fd, event(writer, number, "end"))
    os.fsync(fd)


def put(fd, data):
    done = os.write(fd, data)
    # The kernel gives it to the daemon in parts; this is why one has failed.
    if done < len(data):
        os.write(fd, data[done:])
        raise SystemExit("a short write")


def mark(path, line):
    with open(path, "ab", buffering=0) as file:
        file.write(line.encode())


class Reader:
    """Takes the bytes of a log in any pieces."""

    def __init__(self):
        self.rest = b""
        self.taken = 0
        self.next = {}
        self.ended = set()

    def take(self, data):
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            self.take_line(line)
        if b"\0" in self.rest:
            raise SystemExit(f"zeros after byte {self.taken}")

    def take_line(self, line):
        fields = line.split(b" ")
        writer, number = int(fields[0]), int(fields[1])
        last = fields[2] == b"end"
        expected = event(writer, number, "end" if last else None)
        if line + b"\n" != expected:
            raise SystemExit(f"at byte {self.taken}: {line[:60]!r}")
        if number != self.next.get(writer, 0):
            raise SystemExit(f"event {number} of writer {writer} comes"
                             f" after {self.next.get(writer, 0)} of them")
        self.next[writer] = number + 1
        self.taken += len(expected)
        if last:
            self.ended.add(writer)

    def events(self):
        return sum(self.next.values())


def pieces_read(fd):
    return os.read(fd, 70000)


def pieces_mapped(fd, seen=[0]):
    size = os.lseek(fd, 0, os.SEEK_END)
    if size == seen[0]:
        return b""
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as mapped:
        data = mapped[seen[0]:]
    seen[0] = size
    return data


def read(path, how, writers):
    get = {"poll": pieces_read, "map": pieces_mapped}[how]
    fd = os.open(path, os.O_RDONLY)
    reader = Reader()
    last = time.monotonic()
    torn = 0
    while len(reader.ended) < writers:
        data = get(fd)
        if data:
            last = time.monotonic()
            reader.take(data)
            torn += how == "map" and reader.rest != b""
        elif time.monotonic() - last > GIVE_UP:
            raise SystemExit(f"nothing new after byte {reader.taken}")
        else:
            time.sleep(0.001)
    print(f"{reader.events()} events, {torn} seen in part")


def is_begun(rest, reader):
    for writer in set(reader.next) | set(range(1, 10)):
        number = reader.next.get(writer, 0)
        for padding in (None, "end"):
            if event(writer, number, padding).startswith(rest):
                return True
    return False


def check(path, marks, end):
    reader = Reader()
    with open(path, "rb") as file:
        reader.take(file.read())
    if reader.rest and not (end == "part" and is_begun(reader.rest, reader)):
        raise SystemExit(f"at byte {reader.taken}: {reader.rest[:60]!r}")
    with open(marks) as file:
        for line in file:
            if not line.startswith("durable ") or not line.endswith("\n"):
                continue
            _, writer, number = line.split()
            if reader.next.get(int(writer), 0) < int(number):
                raise SystemExit(f"writer {writer} was told that {number}"
                                 f" events are durable, there are"
                                 f" {reader.next.get(int(writer), 0)}")
    print(reader.events())


def main(verb, path, *rest):
    if verb == "write":
        write(path, int(rest[0]), int(rest[1]), *rest[2:])
    elif verb == "read":
        read(path, rest[0], int(rest[1]))
    else:
        check(path, *rest)


main(*sys.argv[1:])
