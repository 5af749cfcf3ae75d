"""Reads the golden vectors in every way there is; run by each interpreter, so plain Python 3.9.

``python -I -S driver.py PACKAGES LIBRARIES VECTORS`` prints a JSON object: how many vectors were
read, in how many ways, and what went wrong.
"""

import json
import random
import sys

# The same splits in every run and on every interpreter.
SPLIT_SEEDS = range(8)


def pieces_of(data, seed):
    """``data`` cut at random places, empty pieces among them."""
    source = random.Random(seed)
    places = sorted(source.randint(0, len(data)) for _ in range(source.randint(1, 20)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)])]


def ways_of(data):
    """Names and pieces of every way in which ``data`` is given to a decoder."""
    yield "whole", [data]
    yield "byte by byte", [data[i : i + 1] for i in range(len(data))]
    for seed in SPLIT_SEEDS:
        yield "split %d" % seed, pieces_of(data, seed)


def flat(frame):
    """A frame with plain types only, each checked to be exactly that type."""
    assert type(frame.body) is bytes and type(frame.head) is tuple and type(frame.headers) is tuple
    return [
        frame.kind,
        frame.call,
        list(frame.head),
        [list(pair) for pair in frame.headers],
        frame.body.hex(),
    ]


def read(wire, decoder, pieces):
    """The frames that come out, and the first error's message or None."""
    frames = []
    for piece in pieces:
        try:
            frames += decoder.receive(piece)
        except wire.RemoteProtocolError as error:
            return frames, str(error)
    return frames, None


def check_valid(wire, vector):
    """Problems with a vector that is a frame: it must be read, and written, exactly so."""
    data = bytes.fromhex(vector["bytes"])
    number = next(number for number, kind in wire.KINDS.items() if kind.name == vector["kind"])
    body = bytes.fromhex(vector["body"])
    wanted = [number, vector["call"], vector["fields"], vector["headers"], vector["body"]]
    pairs = [tuple(pair) for pair in vector["headers"]]
    if wire.encode(number, vector["call"], vector["fields"], pairs, len(body)) + body != data:
        yield "is written otherwise"
    for way, pieces in ways_of(data):
        decoder = wire.Decoder(vector["direction"])
        frames, error = read(wire, decoder, pieces)
        if error is not None or [flat(frame) for frame in frames] != [wanted]:
            yield "%s: gives %r, %r" % (way, frames, error)
        elif not decoder.is_between_frames:
            yield "%s: the decoder waits for more" % way
    for cut in range(1, len(data)):
        decoder = wire.Decoder(vector["direction"])
        frames, error = read(wire, decoder, [data + data[:cut]])
        if error is not None or [flat(frame) for frame in frames] != [wanted] or decoder.is_between_frames:
            yield "with %d trailing bytes: gives %r, %r" % (cut, frames, error)
            continue
        frames, error = read(wire, decoder, [data[cut:]])
        if error is not None or [flat(frame) for frame in frames] != [wanted]:
            yield "after %d trailing bytes: gives %r, %r" % (cut, frames, error)
        if cut > 400:
            break  # past every boundary within the prefix and the head of a small frame
    frames, error = read(wire, wire.Decoder(vector["direction"]), [data * 3])
    if error is not None or [flat(frame) for frame in frames] != [wanted] * 3:
        yield "three in one piece: gives %r, %r" % (frames, error)


def check_invalid(wire, vector):
    """Problems with a vector that is none: it must be refused so, however it comes, and for good."""
    data = bytes.fromhex(vector["bytes"])
    good = wire.encode(wire.CANCEL, 1, (0,)) if vector["direction"] == wire.TO_CELL else None
    for way, pieces in ways_of(data):
        for before, after in ((b"", b""), (b"", b"more"), (good or b"", b"")):
            decoder = wire.Decoder(vector["direction"], vector.get("body_max", wire.BODY_MAX_BYTES))
            _, error = read(wire, decoder, [before, *pieces[:-1], pieces[-1] + after])
            if error is None or not error.startswith(vector["error"]):
                yield "%s: is refused with %r" % (way, error)
            _, error = read(wire, decoder, [b""])
            if error != "this conversation already broke":
                yield "%s: the decoder can be used again" % way


def main():
    """Check every vector."""
    packages, libraries, vectors_path = sys.argv[1:]
    sys.path.insert(0, packages)
    sys.path.append(libraries)
    from worker import wire

    with open(vectors_path, encoding="utf-8") as file:
        vectors = json.load(file)
    problems = []
    for check, group in ((check_valid, "valid"), (check_invalid, "invalid")):
        for vector in vectors[group]:
            problems += ["%s: %s" % (vector["name"], problem[:400]) for problem in check(wire, vector)]
    read_count = len(vectors["valid"]) + len(vectors["invalid"])
    print(json.dumps({"python": sys.version_info[:2], "read": read_count, "problems": problems}))


main()
