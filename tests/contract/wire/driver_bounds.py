"""What hostile frames cost the reader, measured; run by each interpreter, so plain Python 3.9.

``python -I -S driver_bounds.py PACKAGES LIBRARIES`` prints a JSON object: for each hostile head the
bytes allocated at the worst moment and the bytes kept afterwards, for bodies the same.
"""

import gc
import json
import sys
import tracemalloc

HEAD = 64 * 1024
WIDE = 528  # the longest array that the decoder reads


def wide(item):
    """As many of ``item`` as fit into a head, in arrays of arrays."""
    inner = b"\xdc" + WIDE.to_bytes(2, "big") + item * WIDE
    count = (HEAD - 3) // len(inner)
    left = (HEAD - 3 - count * len(inner) - 3) // len(item)
    last = b"\xdc" + max(left, 0).to_bytes(2, "big") + item * max(left, 0)
    return b"\xdc" + (count + 1).to_bytes(2, "big") + inner * count + last


def chains(depth, end=b"\x90"):
    """As many chains of arrays in arrays as fit, each ``depth`` deep."""
    chain = b"\x91" * depth + end
    count = min((HEAD - 3) // len(chain), WIDE)
    return b"\xdc" + count.to_bytes(2, "big") + chain * count


def long_text(start, size_bytes, char=b"a"):
    """Text that fills a head: ``start`` is its tag, followed by its length."""
    count = (HEAD - 1 - len(start) - size_bytes) // len(char)
    return b"\x91" + start + (count * len(char)).to_bytes(size_bytes, "big") + char * count


HEADS = {
    "empty maps": wide(b"\x80"),
    "empty maps, bare": b"\x80" * HEAD,
    "empty arrays": wide(b"\x90"),
    "arrays of an empty map": wide(b"\x91\x80"),
    "arrays of arrays of an empty map": wide(b"\x91\x91\x80"),
    "chains of arrays": chains(100),
    "chains of arrays as deep as may be": chains(500),
    "arrays nested without end": b"\x91" * HEAD,
    "maps nested without end": b"\x81" * HEAD,
    "pairs nested without end": b"\x92" * HEAD,
    "a map of one": wide(b"\x81\x01\x01"),
    "a map that announces much": b"\x91\xdf\xff\xff\xff\xff",
    "an array that announces much": b"\xdd\xff\xff\xff\xff",
    "arrays that announce as much as may be": b"\xdc\x02\x10" * 1000,
    "a text that announces much": b"\x91\xdb\xff\xff\xff\xff",
    "a binary that announces much": b"\x91\xc6\xff\xff\xff\xff",
    "an extension that announces much": b"\x91\xc9\xff\xff\xff\xff\x05",
    "extensions": wide(b"\xd4\x05\x00"),
    "empty extensions": wide(b"\xc7\x00\x05"),
    "timestamps": wide(b"\xd6\xff\x00\x00\x00\x00"),
    "binaries": wide(b"\xc4\x01\x00"),
    "empty binaries": wide(b"\xc4\x00"),
    "a binary as long as a head": long_text(b"\xc6", 4),
    "short texts": wide(b"\xa2ab"),
    "texts of one wide character": wide(b"\xa4\xf0\x9f\x98\x80"),
    "a text as long as a head": long_text(b"\xdb", 4),
    "a text as long as a head, wide characters": long_text(b"\xdb", 4, b"\xf0\x9f\x98\x80"),
    "a text as long as a head, not UTF-8": long_text(b"\xdb", 4, b"\xff"),
    "numbers": wide(b"\xcd\x01\x01"),
    "large numbers": wide(b"\xcf" + b"\xff" * 8),
    "floats": wide(b"\xca\x40\x00\x00\x01"),
    "nils": wide(b"\xc0"),
    "the byte that msgpack never uses": wide(b"\xc1"),
    "noise": bytes(i * 197 % 251 for i in range(HEAD)),
}


def measured(receive):
    """``(result, bytes allocated at the worst moment, bytes still allocated)`` of ``receive()``."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = receive()
        peak = tracemalloc.get_traced_memory()[1]
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return result, peak - before, kept - before


def head_cost(wire, head):
    """What one hostile head costs: the decoder is kept, as the front keeps it until the cell is dead."""
    data = wire.PREFIX.pack(wire.ANSWER, 1, len(head), 0) + head
    decoder = wire.Decoder(wire.TO_FRONT)

    def receive():
        try:
            decoder.receive(data)
        except wire.RemoteProtocolError as error:
            return len(str(error))
        raise AssertionError("a hostile head was believed")

    message_chars, peak, kept = measured(receive)
    return {"bytes": len(head), "peak": peak, "kept": kept, "message": message_chars}


def body_cost(wire, size, piece):
    """What a whole body of ``size`` bytes costs that arrives in pieces of ``piece`` bytes."""
    data = wire.encode(wire.ANSWER, 1, (200, 1, 0, 0), (), size) + bytes(size)
    decoder = wire.Decoder(wire.TO_FRONT, size)
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]

    def receive():
        for part in pieces:
            frames = decoder.receive(part)
        return [len(frame.body) for frame in frames]

    lengths, peak, kept = measured(receive)
    assert lengths == [size], lengths
    return {"bytes": size, "peak": peak, "kept": kept}


def announced_cost(wire, announced, sent):
    """What a body costs of which ``announced`` bytes were promised and ``sent`` have come."""
    decoder = wire.Decoder(wire.TO_FRONT)
    data = wire.encode(wire.ANSWER, 1, (200, 1, 0, 0), (), announced) + bytes(sent)
    _, peak, kept = measured(lambda: decoder.receive(data))
    return {"bytes": sent, "peak": peak, "kept": kept}


def main():
    """Measure everything."""
    packages, libraries = sys.argv[1:]
    sys.path.insert(0, packages)
    sys.path.append(libraries)
    from worker import wire

    assert all(len(head) <= wire.HEAD_MAX_BYTES for head in HEADS.values())
    head_cost(wire, HEADS["noise"])  # what is allocated once, for good, is nobody's frame's
    heads = {name: head_cost(wire, head) for name, head in HEADS.items()}
    bodies = {
        "in pieces as a pipe holds them": body_cost(wire, 8 << 20, 1 << 16),
        "in small pieces": body_cost(wire, 1 << 20, 100),
        "in one piece": body_cost(wire, 8 << 20, 16 << 20),
    }
    announced = {"a GiB of which a KiB came": announced_cost(wire, 1 << 30, 1 << 10)}
    print(json.dumps({"heads": heads, "bodies": bodies, "announced": announced}))


main()
