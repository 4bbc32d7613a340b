"""Fields are validated, documented and offered by commands and functions as they are declared."""

import dataclasses
import json
import math
import re
from typing import Any, get_type_hints

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen import config
from textgen.cli import cli
from textgen.config import Config, Controls, CorpusConfig, ModelConfig, SamplingConfig, TrainingConfig, TrainSettings
from textgen.config.fields import setting
from textgen.config.keywords import keywords
from textgen.errors import ConfigError
from textgen.training.recipe import recommend

CONFIGS = [getattr(config, name) for name in config.__all__ if re.fullmatch("[A-Z].+Config", name)]
FIELDS = [pytest.param(each, name, id=f"{each.__name__}.{name}") for each in CONFIGS for name in each.declared]
DERIVED = ("vocab_size", "labels", "source_vocab_size")
REACHABLE = [name for name in (*ModelConfig.declared, *TrainingConfig.declared) if name not in DERIVED]


def made(each: type[Config], **values: Any) -> Any:
    return each(**({"vocab_size": 5} if each is ModelConfig else {}), **values)


class Drawing(Config):
    """How a character is drawn."""

    count: int = setting(ge=1, le=9, unit="characters", help="How many.")
    share: float | None = setting(default=None, gt=0, lt=1, otherwise="by size", help="How much.", details="Of all.")
    scale: float = setting(default=1.0, ge=0, off=math.inf, help="How large.")
    heats: float | tuple[float, ...] = setting(default=0.5, ge=0, le=2, remedy="Use 1.", help="How hot.")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"count": 0}, "count must be a whole number in [1, 9]; got 0."),
        ({"count": True}, "count must be a whole number in [1, 9]; got True."),
        ({"count": 2.0}, "count must be a whole number in [1, 9]; got 2.0."),
        ({"count": None}, "count must be a whole number in [1, 9]; got None."),
        ({"share": 0.0}, "share must be in (0, 1); got 0.0."),
        ({"share": 1}, "share must be in (0, 1); got 1."),
        ({"scale": math.nan}, "scale must be at least 0; got nan. Use inf to switch it off."),
        ({"scale": -1e400}, "scale must be at least 0; got -inf. Use inf to switch it off."),
        ({"heats": (1.0, 3.0)}, "heats must be in [0, 2]; got 3.0. Use 1."),
        ({"heats": [1.0]}, "heats must be in [0, 2]; got [1.0]. Use 1."),
        ({"scale": "x" * 300}, f"scale must be at least 0; got '{'x' * 99} .... Use inf to switch it off."),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Drawing(**{"count": 1, **values})
    assert str(caught.value) == sentence


def test_the_library_names_the_fields_of_two_that_exclude_each_other() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(epochs=2.0, time=9.0)
    assert str(caught.value) == "epochs must be left out where time is given; got 2.0. Choose one of the two."
    assert (caught.value.field, caught.value.others) == ("epochs", ("time",))


@given(st.integers(1, 9), st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True), st.floats(0))
def test_every_value_in_range_is_taken(count: int, share: float | None, scale: float) -> None:
    assert dataclasses.astuple(Drawing(count=count, share=share, scale=scale)) == (count, share, scale, 0.5)


def test_numbers_of_numpy_are_taken_as_pythons_own() -> None:
    numpys = Drawing(count=np.int64(3), share=np.float32(0.5), scale=np.array(2.0), heats=(np.float64(0.5), np.int8(1)))
    assert numpys == Drawing(count=3, share=0.5, scale=2.0, heats=(0.5, 1))
    assert json.loads(json.dumps(numpys.to_json())) == {"count": 3, "share": 0.5, "scale": 2.0, "heats": [0.5, 1]}
    assert {type(value) for value in (numpys.count, numpys.share, numpys.scale, *numpys.heats)} == {int, float}
    assert ModelConfig(vocab_size=np.uint16(5), skip=np.bool_(False)).skip is False
    with pytest.raises(ConfigError, match=r"^count must be a whole number in \[1, 9\]; got 2.0\.$"):
        Drawing(count=np.float64(2.0))
    with pytest.raises(ConfigError, match=r"^count must be a whole number in \[1, 9\]; got 10\.$"):
        Drawing(count=np.int64(10))


def test_a_configuration_cannot_be_changed_and_takes_keywords_only() -> None:
    drawing = Drawing(count=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        drawing.count = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        Drawing(3)  # type: ignore[misc]
    with pytest.raises(ConfigError, match="count"):
        drawing.replace(count=10)
    assert drawing.replace(count=4) == Drawing(count=4)


def test_its_documentation_comes_from_its_fields() -> None:
    assert (Drawing.__doc__ or "").split("\n") == [
        "How a character is drawn.",
        "",
        "Args:",
        "    count: How many. Must be a whole number in [1, 9], in characters.",
        "    share: How much. Of all. Must be in (0, 1). Default: None (by size).",
        "    scale: How large; inf is off. Must be at least 0. Default: 1.0.",
        "    heats: How hot. Must be in [0, 2]. Default: 0.5.",
    ]


def test_a_declaration_with_a_misspelt_argument_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="hlep"):

        class Wrong(Config):
            count: int = setting(default=1, hlep="How many.")


@pytest.mark.parametrize(("each", "name"), FIELDS)
def test_every_field_has_a_line_of_help_and_a_default_that_it_takes(each: type[Config], name: str) -> None:
    declared = each.declared[name]
    assert re.fullmatch(r"[A-Z][^\n]*[^.]\.", declared.help)
    assert len(declared.line) <= 100
    assert declared.allowed
    assert not declared.details or declared.details.endswith(".")
    assert f"    {name}: " in (each.__doc__ or "")
    if name != "vocab_size":
        declared.check(declared.default)
        assert getattr(made(each), name) == declared.default


@pytest.mark.parametrize("each", CONFIGS)
def test_every_configuration_comes_back_from_json(each: type[Config]) -> None:
    written = json.loads(json.dumps(made(each).to_json()))
    assert each.from_json(written) == made(each)
    with pytest.raises(ConfigError, match="made of known fields only; got \\['colour'\\]"):
        each.from_json({**written, "colour": 1})


def test_lists_and_infinity_come_back_from_json_as_they_were() -> None:
    sampling = SamplingConfig(temperature=(0.5, 1.0), stop=("a", "b"))
    assert SamplingConfig.from_json(json.loads(json.dumps(sampling.to_json()))) == sampling
    training = TrainingConfig(clip_norm=math.inf)
    assert TrainingConfig.from_json(json.loads(json.dumps(training.to_json()))) == training


def test_a_missing_field_takes_its_default_and_a_missing_size_is_an_error() -> None:
    assert TrainingConfig.from_json({"batch_size": 3}) == TrainingConfig(batch_size=3)
    with pytest.raises(ConfigError, match="ModelConfig must hold all of its fields; got \\['units'\\]"):
        ModelConfig.from_json({"units": 3})
    with pytest.raises(ConfigError, match="ModelConfig must be made of named fields; got 3"):
        ModelConfig.from_json(3)  # type: ignore[arg-type]


def test_a_configuration_picks_its_own_from_some_values() -> None:
    assert ModelConfig.among({"units": 3, "seed": 1, "colour": 2}) == {"units": 3}


def test_the_keywords_of_training_are_the_fields_of_its_configurations() -> None:
    hints = {**get_type_hints(ModelConfig), **get_type_hints(TrainingConfig)}
    assert get_type_hints(TrainSettings) == {name: hints[name] | None for name in REACHABLE}


def test_the_controls_of_a_writer_are_the_fields_of_its_configuration() -> None:
    assert list(get_type_hints(Controls)) == list(SamplingConfig.declared)
    same = set(Controls.__annotations__) - {"temperature", "stop", "contains", "label", "logit_bias"}
    assert all(get_type_hints(Controls)[name] == get_type_hints(SamplingConfig)[name] for name in same)


@pytest.mark.parametrize("name", ["Adapt", "Fill", "Rewrite"])
def test_the_keywords_of_a_task_are_the_fields_of_its_configuration(name: str) -> None:
    found = next(each for each in CONFIGS if each.__name__ in (f"{name}Config", f"{name}ationConfig"))
    hints = {each: hint for each, hint in get_type_hints(found).items() if each in found.declared}
    more = {"label": get_type_hints(Controls)["label"]} if name == "Fill" else {}
    assert get_type_hints(getattr(config, name)) == hints | more


@pytest.mark.parametrize("name", [*REACHABLE, *CorpusConfig.declared])
def test_every_setting_of_a_run_is_an_option_with_the_declared_help(name: str) -> None:
    train = cli.get_command(click.Context(cli), "train")
    assert train is not None
    option = "save_every" if name == "save_every_steps" else name
    (found,) = [param for param in train.params if param.name == option]
    assert isinstance(found, click.Option)
    declared = {**ModelConfig.declared, **TrainingConfig.declared, **CorpusConfig.declared}[option]
    if option not in ("time", "save_every"):  # they say how a duration is written
        note = f"  [default: {declared.default_text}]" if declared.default_text else ""
        assert found.help == declared.line + note


def test_what_help_says_about_the_recipe_is_what_the_recipe_takes() -> None:
    chosen = recommend(10**6, 65, training={"epochs": 3.0}).training
    said = {name: each.default_text for name, each in TrainingConfig.declared.items() if each.otherwise}
    assert said["cautious"] == ("on" if chosen.cautious else "off")
    assert float(said["decay_fraction"]) == chosen.decay_fraction
    assert float(said["halved_fraction"].split()[0]) == chosen.halved_fraction
    fixed = set(TrainingConfig.declared) - set(said) - {"epochs"}
    assert {name: getattr(chosen, name) for name in fixed} == {name: getattr(TrainingConfig(), name) for name in fixed}


def test_a_misspelt_keyword_is_refused_with_the_closest_one() -> None:
    @keywords(Controls, defaults=SamplingConfig)
    def write(prompt: str, **controls: Any) -> dict[str, Any]:
        return controls

    assert write("a", top_k=3) == {"top_k": 3}
    for wrong, meant in (("temprature", " Did you mean 'temperature'?"), ("xyz", "")):
        with pytest.raises(TypeError) as caught:
            write("a", **{wrong: 1})
        assert str(caught.value) == f"write() got an unexpected keyword argument {wrong!r}.{meant}"
