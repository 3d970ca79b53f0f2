"""The project's own source, parsed once."""

import pytest

from architecture.source import Module, modules


@pytest.fixture(scope="session")
def product() -> tuple[Module, ...]:
    """Return the modules that are shipped."""
    return modules("src", "operator", "runtimes")


@pytest.fixture(scope="session")
def tests() -> tuple[Module, ...]:
    """Return the modules that hold tests."""
    return modules("tests", "e2e")
