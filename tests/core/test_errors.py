"""The error tree, and messages that say what was given, what was expected and what is valid."""

import pytest

from vla_runtime.core import errors
from vla_runtime.core.errors import (
    ConfigError,
    ContractMismatch,
    DeviceLost,
    Fault,
    MalformedMessage,
    MissingExtra,
    Refusal,
    VlaError,
    choices,
)

TREE = {
    "VlaError": ("Exception", 1),
    "Refusal": ("VlaError", 2),
    "ConfigError": ("Refusal", 2),
    "PolicyFileError": ("Refusal", 2),
    "ContractMismatch": ("Refusal", 2),
    "LogError": ("Refusal", 2),
    "MissingExtra": ("Refusal", 2),
    "Fault": ("VlaError", 3),
    "DeviceLost": ("Fault", 3),
    "MalformedMessage": ("VlaError", 1),
}


def test_the_tree_is_the_one_that_is_drawn() -> None:
    found = {name: getattr(errors, name) for name in errors.__all__ if name != "choices"}
    assert {name: (kind.__base__.__name__, kind.exit_code) for name, kind in found.items()} == TREE
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in TREE)


def test_a_refusal_is_no_fault() -> None:
    assert not issubclass(Refusal, Fault)
    assert not issubclass(Fault, Refusal)
    assert issubclass(DeviceLost, Fault)
    assert issubclass(MalformedMessage, VlaError)


def test_a_config_error_begins_with_its_path() -> None:
    error = ConfigError("is -3, expected above 0", "$.control.rate_hz")
    assert str(error) == "$.control.rate_hz: is -3, expected above 0"
    assert error.path == "$.control.rate_hz"
    assert str(ConfigError("is empty")) == "is empty"


def test_a_contract_mismatch_has_a_line_for_each_difference() -> None:
    error = ContractMismatch(["dt: 20 ms, 50 ms", "camera: front, top"])
    assert error.differences == ("dt: 20 ms, 50 ms", "camera: front, top")
    assert str(error).splitlines()[1:] == ["  - dt: 20 ms, 50 ms", "  - camera: front, top"]


def test_a_missing_extra_says_what_to_install() -> None:
    assert str(MissingExtra("vla-train", "train")).endswith("pip install 'vla-runtime[train]'")


@pytest.mark.parametrize(
    ("given", "valid", "tail"),
    [
        ("rate", ["rate_hz", "hold"], "valid: hold, rate_hz; did you mean 'rate_hz'?"),
        ("zzz", ["rate_hz", "hold"], "valid: hold, rate_hz"),
        ("zzz", [], "valid: none"),
        ("", ["a"], "valid: a"),
    ],
)
def test_choices_are_sorted_and_a_close_one_is_suggested(given: str, valid: list[str], tail: str) -> None:
    assert choices(given, valid) == tail
    assert choices(given, iter(valid)) == tail
