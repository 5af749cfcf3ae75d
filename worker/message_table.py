"""The messages of one channel between our own processes, as a closed table.

Rule 1: ``decode`` gives a message each of whose fields is right, or raises Malformed, and nothing else.
Rule 2: ``encode`` raises ValueError for a message that the other end would refuse: our bug, and loud.
        A cell alone does without both (``setup_socket``): the warden encodes and decodes for the two of them.
Rule 3: nothing here does I/O, reads a clock, or says in an error what a peer sent.

A message is a Record (``message_fields``).  On its way it is a map with one entry a field, and one more for
its word: ``{"do": "kill", "cell": "…"}``.  The key of the word is the direction: in each channel one end says
``do``, and the other says ``is``.  ``wire`` is a table of its own: it carries calls, whose bodies are not
parsed.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

from .message_fields import Bound, fields_of, made, plain_fields, read_fields

# The key of a message's word.
DO, IS = "do", "is"


class Malformed(Exception):
    """What came is no message, or none that this peer may send.  It says what is wrong, not what was sent."""


class TableRow(NamedTuple):
    """A message: who says it (DO or IS), its word, its class, the most descriptors that come with it."""

    direction: str
    word: str
    message: Any
    descriptors: int = 0


class MessageTable:
    """All that may be said on a channel, in both directions."""

    def __init__(self, *rows: TableRow) -> None:
        self.rows = rows
        self._by_word: Dict[Tuple[str, str], Tuple[TableRow, Dict[str, Bound]]] = {}
        self._by_class: Dict[Any, Tuple[TableRow, Dict[str, Bound]]] = {}
        for row in rows:
            found = row, fields_of(row.message)
            self._by_word[row.direction, row.word] = self._by_class[row.message] = found

    def messages(self, direction: str) -> List[Any]:
        """The classes of one direction, in order: whoever hears it handles exactly these."""
        return [row.message for row in self.rows if row.direction == direction]

    def row_of(self, message: Any) -> TableRow:
        """The row of a class.  KeyError."""
        return self._by_class[message][0]

    def encode(self, message: Any) -> Dict[str, Any]:
        """The map of a message.  ValueError."""
        found = self._by_class.get(type(message))
        if found is None:
            raise ValueError("%s is no message of this channel" % type(message).__name__)
        row, fields = found
        try:
            return {row.direction: row.word, **plain_fields(fields, message)}
        except ValueError as error:
            raise ValueError("%s: %s" % (row.word, error)) from None

    def decode(self, direction: str, values: Any, descriptors: int = 0) -> Any:
        """The message of a map that came from this direction, with so many descriptors.  Malformed."""
        # From here on the bytes are hostile.
        if type(values) is not dict:
            raise Malformed("no map")
        word = values.get(direction)
        found = self._by_word.get((direction, word)) if type(word) is str else None
        if found is None:
            raise Malformed("a word that there is not")
        row, fields = found
        if len(values) != len(fields) + 1 or not values.keys() >= fields.keys():
            raise Malformed("%s: other fields than it has" % row.word)
        if descriptors > row.descriptors:
            raise Malformed("%s: %d descriptors" % (row.word, descriptors))
        try:
            return made(row.message, read_fields(fields, values))
        except ValueError as error:
            raise Malformed("%s: %s" % (row.word, error)) from None
