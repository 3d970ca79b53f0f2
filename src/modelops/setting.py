"""What settings from the environment share: forms, and how wrong ones are complained of."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import NoDecode


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names separated by commas; empty text is no name."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port to listen on."""


def complaint(error: ValidationError, prefix: str, program: str) -> str:
    """Return one line for each wrong setting: its variable, what is wrong with it, what to do."""
    advice = f"correct it and start the {program} again"
    return "\n".join(
        f"{prefix}{str(each['loc'][0] if each['loc'] else '').upper()} is {each['input']!r}: "
        f"{each['msg']}; {advice}"
        for each in error.errors()
    )
