"""Settings that the recipe chooses by itself yield to the user's, are kept with the run, and go on with it."""

import math
from pathlib import Path
from typing import Any

import pytest
from recording import Killed, Recorder
from tiny_runs import TINY, everything

from textgen.errors import ConfigError
from textgen.model.read import read_checkpoint
from textgen.runs.run import Run
from textgen.training.resume import resume
from textgen.training.start import train

OWN: dict[str, Any] = {
    "learning_rate": 1.2e-2,
    "hidden_rate": 2.0,
    "beta_2": 0.95,
    "cautious": False,
    "clip_norm": math.inf,
    "warmup_steps": 3,
    "decay_fraction": 0.5,
    "final_rate": 0.25,
    "halved_fraction": 0.5,
    "logit_scale": 1.5,
}
SETTINGS: dict[str, Any] = {**TINY, "epochs": 0.3, "seed": 5, "validate_every": 9}


@pytest.fixture
def text(tmp_path: Path, bundled_corpus: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text((bundled_corpus / "marrow_haven.txt").read_text(encoding="utf-8")[:4000], encoding="utf-8")
    return path


def kept(run: Run) -> dict[str, Any]:
    training = read_checkpoint(run.last).metadata.training
    return {name: training[name] for name in OWN}


@pytest.mark.slow
def test_a_user_s_value_wins_over_the_recipe_and_continues_bit_for_bit(text: Path, tmp_path: Path) -> None:
    def kill(step: int) -> None:
        if step == 7:
            raise Killed

    uncut = train(text, name="uncut", checkpoints=tmp_path, **SETTINGS, **OWN)
    assert 0.25 * 1.2e-2 <= uncut.history[-1].learning_rate < 0.5 * 1.2e-2
    with pytest.raises(Killed):
        train(text, name="cut", save_every=0.0, checkpoints=tmp_path, reporter=Recorder(kill), **SETTINGS, **OWN)
    assert kept(Run(tmp_path / "cut")) == OWN
    resumed = resume("cut", checkpoints=tmp_path)
    assert kept(resumed) == kept(uncut) == OWN
    assert everything(resumed) == everything(uncut)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"beta_2": 1.0}, "beta_2 must be in [0, 1); got 1.0."),
        ({"clip_norm": 0.0}, "clip_norm must be more than 0; got 0.0. Use inf to switch it off."),
        ({"halved_fraction": 2.0}, "halved_fraction must be in [0, 1]; got 2.0. Use 0 to switch it off."),
        ({"warmup_steps": 0.5}, "warmup_steps must be a whole number in [0, 1000000000]; got 0.5."),
    ],
)
def test_a_value_out_of_its_range_makes_no_run(
    wrong: dict[str, Any], sentence: str, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(text, checkpoints=tmp_path / "runs", **SETTINGS, **wrong)
    assert str(caught.value) == sentence
    assert not [path for path in (tmp_path / "runs").glob("*") if not path.name.startswith(".")]


def test_a_misspelt_setting_is_refused_with_the_closest_name(text: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"train\(\) got an unexpected keyword argument 'unit'. Did you mean 'units'\?"):
        train(text, checkpoints=tmp_path / "runs", unit=3)  # type: ignore[call-arg]
