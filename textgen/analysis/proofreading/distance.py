"""The Levenshtein distance of two texts."""

from __future__ import annotations


def edit_distance(first: str, second: str) -> int:
    """How many characters must at least be inserted, deleted and replaced to turn one text into the other.

    Bit-parallel (Myers 1999, in the form of Hyyro 2003), over integers as long as the first text: two texts of 50,000
    characters take about a second.

    >>> edit_distance("kitten", "sitting"), edit_distance("", "abc"), edit_distance("ab", "ba")
    (3, 3, 2)
    """
    if not first:
        return len(second)
    places: dict[str, int] = {}
    for place, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << place
    last, mask = 1 << (len(first) - 1), (1 << len(first)) - 1
    # Where the column rises and falls by one from a row to the next.
    up, down, distance = mask, 0, len(first)
    for character in second:
        equal = places.get(character, 0)
        across = (((equal & up) + up) ^ up) | equal
        plus = down | (mask & ~(across | up))
        minus = up & across
        distance += bool(plus & last) - bool(minus & last)
        plus = plus << 1 | 1
        vertical = equal | down
        up = (minus << 1 | (mask & ~(vertical | plus))) & mask
        down = plus & vertical & mask
    return distance
