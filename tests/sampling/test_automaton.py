"""Automata of regular expressions, with Python's `re.fullmatch` as the oracle."""

import importlib
import string
from typing import Any

import pytest
from drawn_patterns import LETTERS, PATTERNS, matching, texts
from hypothesis import example, given, settings

from textgen.errors import ConfigError
from textgen.sampling.automaton import UNREACHABLE, WORK, Automaton
from textgen.sampling.pattern import Pattern


def accepted(automaton: Automaton, characters: str, longest: int) -> set[str]:
    """The texts up to a length that it accepts, found by reading each from the start."""
    found = set()
    for text in texts(characters, longest):
        state = 0
        for character in text:
            state = automaton.table[state, automaton.classes[characters.index(character)]]
            if state < 0:
                break
        if state >= 0 and automaton.distance[state] == 0:
            found.add(text)
    return found


@settings(max_examples=300)
@given(PATTERNS)
@example("(?:a?){2,4}b")
@example("((?:a|){3}b){2,}")
@example("(?:a*b?)*?1")
@example("^(?:^a|b$)$")
def test_it_accepts_what_the_pattern_matches_as_a_whole(pattern: str) -> None:
    assert accepted(Automaton((pattern,), LETTERS, LETTERS), LETTERS, 5) == matching(pattern, LETTERS, 5)


@settings(max_examples=100)
@given(PATTERNS, PATTERNS)
def test_of_several_patterns_it_accepts_what_all_match(first: str, second: str) -> None:
    both = matching(first, LETTERS, 5) & matching(second, LETTERS, 5)
    assert accepted(Automaton((first, second), LETTERS, LETTERS), LETTERS, 5) == both


@settings(max_examples=100)
@given(PATTERNS)
def test_characters_that_may_not_be_written_lead_nowhere(pattern: str) -> None:
    automaton = Automaton((pattern,), LETTERS, "aé")
    assert accepted(automaton, LETTERS, 5) == matching(pattern, "aé", 5)


@settings(max_examples=100)
@given(PATTERNS)
def test_a_distance_is_the_length_of_the_shortest_way_to_an_end(pattern: str) -> None:
    automaton = Automaton((pattern,), LETTERS, LETTERS)
    for state in range(len(automaton.table)):
        reached, steps = {state}, 0
        while reached and not any(automaton.distance[each] == 0 for each in reached) and steps <= len(automaton.table):
            reached = {int(each) for each in automaton.table[list(reached)].ravel() if each >= 0}
            steps += 1
        found = any(automaton.distance[each] == 0 for each in reached)
        assert automaton.distance[state] == (steps if found else UNREACHABLE)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"[^\W\d_]", ".", r"(?s:.)", r"(?a:\w)", r"(?a)\d", "(?i)straße",
        "(?i:K)", "(?i)[à-ï]", r"[\u0900-\u097f]", r"\N{BULLET}|\x41", r"[]\-^\\]", r"[^\n]", r"(?x) a # a comment",
        "(?is).", "(?i:a(?-i:b))", r"[\s\S]", "(?i:s)", r"\t|\.",
    ],
)  # fmt: skip
def test_sets_of_characters_mean_what_they_mean_to_python(pattern: str) -> None:
    characters = "".join(sorted(set(string.printable) | set("éÉßẞſKİıàïÀдДक०१あ中•\u0301\u00a0\u2028ǅ")))
    automaton = Automaton((pattern,), characters, characters)
    assert accepted(automaton, characters, 1) == matching(pattern, characters, 1)


def test_what_python_warns_of_is_taken_as_this_version_takes_it() -> None:
    assert accepted(Automaton(("[[a]",), "[ab", "[ab"), "[ab", 2) == {"[", "a"}


def test_a_large_vocabulary_has_as_few_classes_as_the_pattern_tells_apart() -> None:
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + 5560)))
    automaton = Automaton(("[^一丁]{2,20}。?|.*一", "(?s:.*)"), characters, characters)
    assert automaton.classes.shape == (5560,)
    assert automaton.table.shape[1] == 3
    assert automaton.table.size < 200


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a", "is not a regular expression: missing ), unterminated subpattern at position 0; got '(a'."),
        ("[b-a]", "is not a regular expression: bad character range b-a"),
        ("*", "is not a regular expression: nothing to repeat"),
        ("a(?=b)", "holds a lookahead or lookbehind, which is not supported"),
        ("(?<!a)b", "holds a lookahead or lookbehind, which is not supported"),
        (r"(a)\1", "holds a backreference, which is not supported"),
        (r"(a)?(?(1)b|c)", "holds a conditional group, which is not supported"),
        ("(?>a)", "holds an atomic group, which is not supported"),
        ("a*+", "holds a possessive quantifier, which is not supported"),
        (r"a\b", r"holds \b, which is not supported; got"),
        ("a^b", "holds ^, which is not supported except at its beginning; got 'a^b'. Leave it out."),
        ("(?:a$)+", "holds $, which is not supported except at its end"),
        ("(?m)^a", "holds ^, which is not supported"),
        ("a{99999999999}", "repeats or nests too much"),
        ("(" * 3000 + "a" + ")" * 3000, "repeats or nests too much; got '((("),
        ("a{10001}", "has more than 10,000 characters with its repetitions written out"),
        ("a" * 20_001, "is longer than 20,000 characters"),
    ],
)
def test_what_is_no_pattern_or_cannot_be_kept_is_refused_in_a_sentence(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Automaton((pattern,), "ab", "ab")
    assert str(caught.value).startswith(f"match {problem}")
    assert len(str(caught.value)) < 300
    assert caught.value.field == "match"


COMPLEX = ["(a|b)*a(a|b){20}", "(a?){5000}", "((a?){100}){90}", "((a*)*b?){2000}"]


@pytest.mark.parametrize("pattern", COMPLEX)
def test_a_pattern_with_too_many_cases_is_refused_after_a_limited_amount_of_work(pattern: str) -> None:
    class Counted(Automaton):
        def _spend(self, amount: int) -> None:
            self.__dict__["spent"] = self.__dict__.get("spent", 0) + amount
            super()._spend(amount)

    counted = Counted.__new__(Counted)
    with pytest.raises(ConfigError, match="must have fewer cases to tell apart"):
        counted.__init__((pattern,), "ab", "ab")  # type: ignore[misc]
    assert counted.__dict__["spent"] < 1.2 * WORK


@pytest.mark.parametrize("pattern", ["(){1000000000}", "(((){9999}){9999}){9999}", "(?:a{0}|){1000000000}b"])
def test_repetitions_of_nothing_cost_nothing(pattern: str) -> None:
    assert len(Automaton((pattern,), "ab", "ab").table) <= 2


def test_a_long_pattern_without_choices_is_taken() -> None:
    automaton = Automaton((r"(\w{1,30} ){1,30}",), "ab ", "ab ")
    assert automaton.distance[0] == 2


def test_pythons_parser_has_the_names_that_patterns_are_read_by() -> None:
    parser: Any = importlib.import_module("re._parser")
    read = {str(op) for op, _ in parser.parse("a[^b].(c)(?:d|ee)f*g*?^")}
    assert read == {"LITERAL", "NOT_LITERAL", "ANY", "SUBPATTERN", "BRANCH", "MAX_REPEAT", "MIN_REPEAT", "AT"}


def test_a_positions_sets_are_compiled_once() -> None:
    pattern = Pattern("[a-c]{5}x[a-c]")
    assert [each.pattern for each in pattern.characters] == ["[a-c]", "x"]
    assert pattern.sets == [0, 0, 0, 0, 0, 1, 0]
