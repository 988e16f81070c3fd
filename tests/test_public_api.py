"""Nobody changes what others build on without seeing that they do."""

import importlib
from inspect import isclass, isroutine

import pytest

from tests import public_api


def test_the_public_api_is_the_one_that_is_written_down() -> None:
    """`python tests/public_api.py` writes it down anew; docs/api.md says what that means for a release."""
    written = public_api.PAGE.read_text().partition(public_api.MARKER)[2].strip()
    assert public_api.listing().strip() == written


@pytest.mark.parametrize("name", public_api.MODULES)
def test_what_a_public_module_exports_is_explained(name: str) -> None:
    """Every class and every function has a docstring."""
    module = importlib.import_module(name)
    exported = [getattr(module, one) for one in module.__all__]
    assert [one for one in exported if (isclass(one) or isroutine(one)) and not one.__doc__] == []
