"""What all tests share."""

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "shared",  # on a machine that does other things, too, a slow example is no failure
    deadline=None,
    max_examples=60,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("shared")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to rewrite the golden files, and to try more requests on the gateway."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what is rendered now into the golden files instead of comparing",
    )
    parser.addoption(
        "--cases",
        type=int,
        default=40,
        help="requests made up for each operation of the gateway, as many good ones as bad ones",
    )
    parser.addoption(
        "--record", action="store_true", help="write what came of them to where `make bench` does"
    )
