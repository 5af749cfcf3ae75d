"""The fields of messages between our own processes: what each may hold, and the objects that have them.

A field is annotated with a Bound, for both a type checker and the table of its channel::

    class KillCell(Record):
        cell: Annotated[str, PatternBound("[0-9a-f]{10}")]

Pure, and no error says what a peer sent.
"""

import re
from typing import TYPE_CHECKING, Any, ClassVar, Dict, TypeVar

if TYPE_CHECKING:
    from typing import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """Tells type checkers that classes are as dataclasses; in ``typing`` from Python 3.11."""
        return lambda decorated: decorated


INT_MOST = (1 << 63) - 1


class Bound:
    """``read`` makes a field's value of what came, ``plain`` the reverse; ValueError says what is wrong.

    Types are compared exactly: to ``isinstance`` a bool is an int, and a subclass can lie about its length.
    """

    def read(self, value: Any) -> Any:
        """What the field holds."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """What travels."""
        raise NotImplementedError


class FlagBound(Bound):
    """A bool."""

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not bool:
            raise ValueError("is no bool")
        return value

    plain = read


class IntBound(Bound):
    """A whole number from ``least`` to ``most``."""

    def __init__(self, least: int = 0, most: int = INT_MOST) -> None:
        self.least, self.most = least, most

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not int:
            raise ValueError("is not a whole number")
        if not self.least <= value <= self.most:
            raise ValueError("is not in %d..%d" % (self.least, self.most))
        return value

    plain = read


class RealBound(Bound):
    """A finite number from 0, or with ``is_above`` from above 0."""

    def __init__(self, is_above: bool = False) -> None:
        self.is_above = is_above

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) not in (int, float) or not 0 <= value <= INT_MOST:  # which no NaN is
            raise ValueError("is no finite number from 0")
        if self.is_above and not value:
            raise ValueError("is not above 0")
        return value

    plain = read


class TextBound(Bound):
    """At most ``most`` characters, whatever they are."""

    def __init__(self, most: int, least: int = 0) -> None:
        self.least, self.most = least, most

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not str:
            raise ValueError("is not text")
        if not self.least <= len(value) <= self.most:
            raise ValueError("has not %d..%d characters" % (self.least, self.most))
        return value

    plain = read


class PatternBound(Bound):
    """Text that is all of a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._is_right = re.compile(pattern).fullmatch

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not str or self._is_right(value) is None:
            raise ValueError("is not " + self.pattern)
        return value

    plain = read


class WordBound(Bound):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = frozenset(words)

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not str or value not in self.words:
            raise ValueError("is none of " + ", ".join(sorted(self.words)))
        return value

    plain = read


class BytesBound(Bound):
    """At most ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not bytes or len(value) > self.most:
            raise ValueError("is not at most %d bytes" % self.most)
        return value

    plain = read


class ListBound(Bound):
    """A list of ``least`` to ``most`` items; its sender may have a tuple."""

    def __init__(self, item: Bound, most: int, least: int = 0) -> None:
        self.item, self.least, self.most = item, least, most

    def read(self, value: Any) -> Any:
        """A list of what the items are."""
        if type(value) is not list or not self.least <= len(value) <= self.most:
            raise ValueError("is no list of %d..%d items" % (self.least, self.most))
        read = self.item.read
        return [read(item) for item in value]

    def plain(self, value: Any) -> Any:
        """A list of how they travel."""
        if type(value) not in (list, tuple) or not self.least <= len(value) <= self.most:
            raise ValueError("is no list of %d..%d items" % (self.least, self.most))
        plain = self.item.plain
        return [plain(item) for item in value]


class DictBound(Bound):
    """A map of at most ``most`` entries."""

    def __init__(self, key: Bound, item: Bound, most: int) -> None:
        self.key, self.item, self.most = key, item, most

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not dict or len(value) > self.most:
            raise ValueError("is no map of at most %d entries" % self.most)
        return {self.key.read(key): self.item.read(item) for key, item in value.items()}

    plain = read


class PlainBound(Bound):
    """Any value that JSON has, at most ``deep`` levels of it; another check looks at what it says."""

    def __init__(self, deep: int) -> None:
        self.deep = deep

    def read(self, value: Any) -> Any:
        """The same."""
        self._check(value, self.deep)
        return value

    plain = read

    def _check(self, value: Any, deep: int) -> None:
        if value is None or type(value) in (bool, int, float, str):
            return
        if not deep or type(value) not in (list, tuple, dict):
            raise ValueError("is no plain value of at most %d levels" % self.deep)
        for item in value.values() if type(value) is dict else value:
            self._check(item, deep - 1)
        if type(value) is dict and not all(type(key) is str for key in value):
            raise ValueError("has a key that is not text")


class OptionalBound(Bound):
    """None, or what another bound allows."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound

    def read(self, value: Any) -> Any:
        """None or what it is."""
        return None if value is None else self.bound.read(value)

    def plain(self, value: Any) -> Any:
        """None or how it travels."""
        return None if value is None else self.bound.plain(value)


class RecordBound(Bound):
    """An object of a class with fields; it travels as a map of exactly these."""

    def __init__(self, record: Any) -> None:
        self.record = record
        self.fields = fields_of(record)

    def read(self, value: Any) -> Any:
        """The object."""
        if type(value) is not dict or value.keys() != self.fields.keys():
            raise ValueError("has other fields than a %s" % self.record.__name__)
        return made(self.record, read_fields(self.fields, value))

    def plain(self, value: Any) -> Any:
        """The map."""
        if type(value) is not self.record:
            raise ValueError("is no %s" % self.record.__name__)
        return plain_fields(self.fields, value)


def _word_of(row: Any) -> str:
    return str(*next(iter(fields_of(row).values())).words)  # type: ignore[attr-defined]


class RowBound(Bound):
    """A NamedTuple of one of a few classes, which travels as a list; its first field is the class's word.

    A sender's rows are taken as they were made (a survey has a thousand): whoever reads checks each field.
    """

    def __init__(self, *rows: Any) -> None:
        self.rows = {_word_of(row): (row, tuple(fields_of(row).items())) for row in rows}
        self._classes = frozenset(rows)

    def read(self, value: Any) -> Any:
        """The NamedTuple."""
        if type(value) is not list or not value or type(value[0]) is not str or value[0] not in self.rows:
            raise ValueError("is no row of " + ", ".join(sorted(self.rows)))
        return _row_of(*self.rows[value[0]], value)

    def plain(self, value: Any) -> Any:
        """The same: msgpack takes it for a list."""
        if type(value) not in self._classes:
            raise ValueError("is no row of " + ", ".join(sorted(self.rows)))
        return value


class TupleBound(RowBound):
    """A NamedTuple of one class, whatever its first field."""

    def __init__(self, row: Any) -> None:
        self.rows = {row.__name__: (row, tuple(fields_of(row).items()))}
        self._classes = frozenset((row,))
        self._row = self.rows[row.__name__]

    def read(self, value: Any) -> Any:
        """The NamedTuple."""
        if type(value) is not list:
            raise ValueError("is no list")
        return _row_of(*self._row, value)


def _row_of(row: Any, fields: Any, value: Any) -> Any:
    if len(value) != len(fields):
        raise ValueError("is a row of %d fields, not %d" % (len(value), len(fields)))
    found, name = [], ""
    try:
        for (field, bound), item in zip(fields, value):
            name = field
            found.append(bound.read(item))
    except ValueError as error:
        raise ValueError("%s %s" % (name, error)) from None
    return row._make(found)


def read_fields(fields: Dict[str, Bound], values: Dict[str, Any]) -> Dict[str, Any]:
    """What the fields hold, of the values that came under their names.  ValueError."""
    found = {}
    try:
        for name, bound in fields.items():
            found[name] = bound.read(values[name])
    except ValueError as error:
        raise ValueError("%s %s" % (name, error)) from None
    return found


def plain_fields(fields: Dict[str, Bound], record: Any) -> Dict[str, Any]:
    """How the fields of an object travel.  ValueError."""
    plain = {}
    try:
        for name, bound in fields.items():
            plain[name] = bound.plain(getattr(record, name))
    except ValueError as error:
        raise ValueError("%s %s" % (name, error)) from None
    return plain


# ---- objects with fields -----------------------------------------------------------------------


def bound_of(annotation: Any) -> Bound:
    """The Bound that a field is annotated with; a class with fields is a record."""
    if annotation is bool:
        return FlagBound()
    if isinstance(annotation, str):
        raise TypeError("a module with messages has no 'from __future__ import annotations'")
    for bound in getattr(annotation, "__metadata__", ()):
        if isinstance(bound, Bound):
            return bound
    return RecordBound(annotation)


def fields_of(record: Any) -> Dict[str, Bound]:
    """The fields of a Record, a dataclass or a NamedTuple, in order."""
    annotated = {**getattr(record, "__annotations__", {})}
    for own in ("bounds", "defaults"):
        annotated.pop(own, None)
    return record.__dict__.get("bounds") or {name: bound_of(each) for name, each in annotated.items()}


R = TypeVar("R", bound="Record")


@dataclass_transform(frozen_default=True)
class Record:
    """A message or a part of one: the fields are those that its class annotates, and they never change.

    No frozen dataclass: making one takes half a millisecond, and a start needs forty in each process.
    """

    bounds: ClassVar[Dict[str, Bound]] = {}
    defaults: ClassVar[Dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls.bounds = {**cls.bounds, **fields_of(cls)}
        cls.defaults = {name: getattr(cls, name) for name in cls.bounds if hasattr(cls, name)}

    def __init__(self, *values: Any, **named: Any) -> None:
        given = dict(zip(self.bounds, values))
        if len(given) < len(values) or not given.keys().isdisjoint(named):
            raise TypeError("%s is given more values than it has fields" % type(self).__name__)
        fields = {**self.defaults, **given, **named}
        if fields.keys() != self.bounds.keys():
            raise TypeError("%s has other fields" % type(self).__name__)
        self.__dict__.update(fields)

    def replaced(self: R, **changed: Any) -> R:
        """The same with other values in these fields."""
        if not changed.keys() <= self.bounds.keys():
            raise TypeError("%s has other fields" % type(self).__name__)
        return made(type(self), {**self.__dict__, **changed})  # type: ignore[no-any-return]

    def __setattr__(self, name: str, *_: Any) -> None:
        raise AttributeError("a %s never changes" % type(self).__name__)

    __delattr__ = __setattr__

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(self.__dict__[name] for name in self.bounds)))

    def __repr__(self) -> str:
        fields = ", ".join("%s=%r" % (name, self.__dict__[name]) for name in self.bounds)
        return "%s(%s)" % (type(self).__name__, fields)


def made(record: Any, values: Dict[str, Any]) -> Any:
    """An object of this class, of the values of all its fields."""
    if not issubclass(record, Record):
        return record(**values)
    found = object.__new__(record)
    found.__dict__.update(values)  # which __init__ would look at once more
    return found
