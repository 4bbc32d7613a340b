"""Settings in which every control has its turn, for tests that must hold whatever the controls are."""

from typing import Any

CONTROLS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.3},
    {"temperature": (0.2, 1.5)},
    {"ban": "e\n"},
    {"allow": "abcdef ", "ban": "c", "top_k": 3},
    {"top_k": 4},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"typical_p": 0.7},
    {"repetition_penalty": 1.5, "repetition_window": 5},
    {"presence_penalty": 1.0, "frequency_penalty": -0.25},
    {"logit_bias": ("e:3", "\n:-100"), "frequency_penalty": 0.5},
    {"match": "[a-f ]{5,}x.*", "top_k": 6, "top_p": 0.9},
    {"starts_with": "the ", "contains": ("sea", "ab"), "min_length": 40, "typical_p": 0.9},
    {"match": "(?:[a-z]{1,9} )+", "ban": "e", "max_length": 33, "temperature": 0.0, "repetition_penalty": 1.5},
    {"top_k": 9, "top_p": 0.95, "min_p": 0.02, "typical_p": 0.95, "temperature": 1.3},
]
