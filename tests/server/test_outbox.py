"""When what was written is handed over: now and then, a text's first character and its end at once."""

from typing import Any, cast

from textgen.server.outbox import Outbox


class Named:
    """Stands for a text."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_urgent_texts_go_at_once_and_the_others_with_the_next_delivery() -> None:
    outbox = Outbox()
    a, b, c, gone = (cast(Any, Named(name)) for name in ("a", "b", "c", "gone"))
    outbox.add(a)
    assert outbox.take(100.0, 1) == [a]
    for each in (a, b, c, gone):
        outbox.add(each, urgent=each is b)
    outbox.remove(gone)
    assert outbox.take(100.001, 3) == [b]
    assert outbox.take(100.002, 3) == []
    assert outbox.take(100.2, 3) == [a, c]
    assert outbox.take(100.4, 3) == []


def test_deliveries_are_the_more_seldom_the_more_texts_there_are() -> None:
    outbox, a = Outbox(), cast(Any, Named("a"))
    outbox.add(a)
    assert outbox.take(100.0, 1) == [a]
    outbox.add(a)
    assert outbox.take(100.03, 40) == []
    assert outbox.take(100.03, 1) == [a]
