"""Which models an API key may use: names, or beginnings of names that end with a star."""

import re
from typing import Final

GRANT: Final = re.compile(r"[^*\s]{0,254}\*|[^*\s]{1,255}")
GRANT_HELP: Final = "a model's name such as llama-8b, a beginning such as 'llama*', or '*' for all"


def is_grant(text: str) -> bool:
    """Tell whether a text may stand among an API key's models."""
    return GRANT.fullmatch(text) is not None
