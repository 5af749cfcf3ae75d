"""Draws a colour gradient as a PNG: a binary answer with a media type of its own.

``?size=256`` is the side in pixels, 512 at most.
"""

import struct
import zlib


def handle(req):
    size = min(max(req.query.get("size", 256, type=int), 1), 512)
    # Each line of the picture begins with its filter, 0 for none, then has three bytes for each pixel.
    ramp = [255 * position // size for position in range(size)]
    lines = [b"\0" + b"".join(bytes((x, y, 255 - x)) for x in ramp) for y in ramp]
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    png += _chunk(b"IDAT", zlib.compress(b"".join(lines))) + _chunk(b"IEND", b"")
    return {"headers": {"Content-Type": "image/png"}, "body": png}


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
