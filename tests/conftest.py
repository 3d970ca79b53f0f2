"""What all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to rewrite the golden files."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what is rendered now into the golden files instead of comparing",
    )
