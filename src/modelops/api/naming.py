"""The names that objects may have, and those that clients send."""

import re
from typing import Final

NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH: Final = 50
"""Children append up to 13 characters, and a Service's name has at most 63."""

NAME_HELP: Final = (
    f"the name becomes a Service's name: at most {NAME_LENGTH} characters, lower-case letters, "
    "digits and '-', starting with a letter"
)

SERVED_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
SERVED_NAME_HELP: Final = "what clients send as the model: letters, digits and any of . _ : / @ + -"


def named(name: str) -> bool:
    """Tell whether a model may have that name."""
    return len(name) <= NAME_LENGTH and bool(re.fullmatch(NAME_PATTERN, name))
