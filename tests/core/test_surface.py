"""The public surface of core and control, and the examples in their docstrings."""

import ast
import doctest
import pkgutil
from dataclasses import FrozenInstanceError, fields, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

import vla_runtime.control
import vla_runtime.core
from vla_runtime.core import types


def modules_of(package) -> list[str]:
    return [info.name for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]


CORE, CONTROL = modules_of(vla_runtime.core), modules_of(vla_runtime.control)


def test_the_packages_are_found() -> None:
    assert "vla_runtime.core.spec" in CORE
    assert {"vla_runtime.control.loop", "vla_runtime.control.safety.chain"} <= set(CONTROL)


@pytest.mark.parametrize("name", CORE + CONTROL)
def test_every_module_lists_its_public_names_and_has_them(name: str) -> None:
    module = import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert module.__doc__
    for public in module.__all__:
        assert hasattr(module, public), f"{name}.__all__ lists {public}, which {name} does not have"
        assert not public.startswith("_")


@pytest.mark.parametrize("name", CORE + CONTROL)
def test_every_public_class_and_function_says_what_it_is(name: str) -> None:
    module = import_module(name)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in module.__all__:
            assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"


def test_the_examples_in_the_docstrings_of_core_hold() -> None:
    results = [doctest.testmod(import_module(name)) for name in CORE]
    assert sum(result.attempted for result in results) >= 2
    assert sum(result.failed for result in results) == 0


@pytest.mark.parametrize("name", [name for name in types.__all__ if is_dataclass(getattr(types, name))])
def test_records_are_frozen(name: str) -> None:
    record = getattr(types, name)
    made = record(**{field.name: 0 for field in fields(record)})
    for field in fields(record):
        with pytest.raises(FrozenInstanceError):
            setattr(made, field.name, 1)
    with pytest.raises((AttributeError, TypeError)):
        made.another = 1
