# SPDX-License-Identifier: Apache-2.0
"""Just enough Cap'n Proto for scripted peers: build and read single-segment messages.

Written apart from the C codec and from the specification, so that a mistake made there
doesn't repeat here.
"""

import struct


class Struct:
    """Data section as bytes, pointers as Python values: None, Struct, Cap, bytes (Data), str
    (Text), list of str (List(Text)) or StructList."""

    def __init__(self, n_data, n_pointers):
        self.data = bytearray(8 * n_data)
        self.pointers = [None] * n_pointers

    def put(self, fmt, offset, value):
        """@offset in bytes; @fmt as of module struct, without byte order."""
        struct.pack_into("<" + fmt, self.data, offset, value)
        return self

    def point(self, index, value):
        self.pointers[index] = value
        return self


class StructList:
    def __init__(self, n_data, n_pointers, items=()):
        self.n_data, self.n_pointers, self.items = n_data, n_pointers, list(items)


class Cap:
    def __init__(self, index):
        self.index = index


def _grow(out, n_words):
    at = len(out) // 8
    out.extend(bytes(8 * n_words))
    return at


def _set_pointer(out, where, target, low, high):
    offset = (target - where - 1) & 0x3FFFFFFF
    struct.pack_into("<II", out, where * 8, (offset << 2) | low, high)


def _put_bytes(out, where, data):
    at = _grow(out, (len(data) + 7) // 8)
    out[at * 8:at * 8 + len(data)] = data
    _set_pointer(out, where, at, 1, (len(data) << 3) | 2)


def _put_struct(out, where, value):
    n_data, n_pointers = len(value.data) // 8, len(value.pointers)
    if n_data + n_pointers == 0:
        struct.pack_into("<II", out, where * 8, 0xFFFFFFFC, 0)
        return
    at = _grow(out, n_data + n_pointers)
    _set_pointer(out, where, at, 0, n_data | (n_pointers << 16))
    _fill_struct(out, at, value)


def _fill_struct(out, at, value):
    out[at * 8:at * 8 + len(value.data)] = value.data
    for i, pointer in enumerate(value.pointers):
        _put(out, at + len(value.data) // 8 + i, pointer)


def _put_struct_list(out, where, value):
    size = value.n_data + value.n_pointers
    at = _grow(out, 1 + size * len(value.items))
    _set_pointer(out, where, at, 1, (size * len(value.items) << 3) | 7)
    struct.pack_into("<II", out, at * 8, len(value.items) << 2,
                     value.n_data | (value.n_pointers << 16))
    for i, item in enumerate(value.items):
        _fill_struct(out, at + 1 + i * size, item)


def _put_pointer_list(out, where, items):
    at = _grow(out, len(items))
    _set_pointer(out, where, at, 1, (len(items) << 3) | 6)
    for i, item in enumerate(items):
        _put(out, at + i, item)


def _put(out, where, value):
    if value is None or value == "" or value == b"":
        return
    if isinstance(value, Struct):
        _put_struct(out, where, value)
    elif isinstance(value, StructList):
        _put_struct_list(out, where, value)
    elif isinstance(value, Cap):
        struct.pack_into("<II", out, where * 8, 3, value.index)
    elif isinstance(value, str):
        _put_bytes(out, where, value.encode() + b"\0")
    elif isinstance(value, list):
        _put_pointer_list(out, where, value)
    else:
        _put_bytes(out, where, bytes(value))


def encode(root):
    """The framed message with @root."""
    out = bytearray(8)
    _put_struct(out, 0, root)
    return struct.pack("<II", 0, len(out) // 8) + bytes(out)


def split(buffer):
    """Whole messages at the front of @buffer (a bytearray), which are removed from it."""
    messages = []
    while len(buffer) >= 8:
        n_segments = struct.unpack_from("<I", buffer)[0] + 1
        header = (4 + 4 * n_segments + 7) // 8 * 8
        if len(buffer) < header:
            break
        sizes = struct.unpack_from(f"<{n_segments}I", buffer, 4)
        total = header + 8 * sum(sizes)
        if len(buffer) < total:
            break
        messages.append(bytes(buffer[:total]))
        del buffer[:total]
    return messages


class Reader:
    """A struct within a single-segment message."""

    def __init__(self, segment, data_at, n_data, n_pointers):
        self.segment, self.data_at = segment, data_at
        self.n_data, self.n_pointers = n_data, n_pointers

    @classmethod
    def root(cls, message):
        n_segments, n_words = struct.unpack_from("<II", message)
        if n_segments != 0 or len(message) != 8 + 8 * n_words:
            raise ValueError("not a single-segment message")
        return cls._at(message[8:], 0)

    @classmethod
    def _at(cls, segment, where):
        low, high = struct.unpack_from("<II", segment, where * 8)
        if (low, high) == (0, 0):
            return None
        if low & 3 != 0:
            raise ValueError(f"pointer kind {low & 3} where a struct is expected")
        at = where + 1 + (struct.unpack_from("<i", segment, where * 8)[0] >> 2)
        return cls(segment, at, high & 0xFFFF, high >> 16)

    def get(self, fmt, offset, default=0):
        if offset + struct.calcsize(fmt) > 8 * self.n_data:
            return default
        return struct.unpack_from("<" + fmt, self.segment, self.data_at * 8 + offset)[0]

    def _pointer(self, index):
        return self.data_at + self.n_data + index if index < self.n_pointers else None

    def struct(self, index):
        where = self._pointer(index)
        return None if where is None else Reader._at(self.segment, where)

    def cap(self, index):
        """The index in the capability table, or None when the pointer is no capability."""
        where = self._pointer(index)
        if where is None:
            return None
        low, high = struct.unpack_from("<II", self.segment, where * 8)
        return high if low == 3 else None

    def _list(self, index, kind):
        where = self._pointer(index)
        low, high = struct.unpack_from("<II", self.segment, where * 8) if where else (0, 0)
        if low & 3 != 1:
            return None, 0
        if high & 7 != kind:
            raise ValueError(f"list kind {high & 7}, not {kind}")
        return where + 1 + (low >> 2), high >> 3

    def bytes(self, index):
        at, n = self._list(index, 2)
        return b"" if at is None else self.segment[at * 8:at * 8 + n]

    def text(self, index):
        raw = self.bytes(index)
        if raw and raw[-1] != 0:
            raise ValueError("text without its NUL")
        return raw[:-1].decode()

    def structs(self, index):
        at, _ = self._list(index, 7)
        if at is None:
            return []
        count, size = struct.unpack_from("<II", self.segment, at * 8)
        n_data, n_pointers = size & 0xFFFF, size >> 16
        return [Reader(self.segment, at + 1 + i * (n_data + n_pointers), n_data, n_pointers)
                for i in range(count >> 2)]

    def texts(self, index):
        at, n = self._list(index, 6)
        items = Reader(self.segment, at or 0, 0, n)
        return [items.text(i) for i in range(n)]
