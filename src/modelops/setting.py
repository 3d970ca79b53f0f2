"""What settings from the environment share: forms, and how wrong ones are complained of."""

from collections.abc import Collection
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


def complaint(
    error: ValidationError, prefix: str, program: str, hidden: Collection[str] = ()
) -> str:
    """Return one line for each wrong setting: its variable, what is wrong with it, what to do.

    What the hidden fields are is left out.
    """
    advice = f"correct it and start the {program} again"
    told = ((str(each["loc"][0] if each["loc"] else ""), each) for each in error.errors())
    return "\n".join(
        f"{prefix}{name.upper()} is {'wrong' if name in hidden else repr(each['input'])}: "
        f"{each['msg']}; {advice}"
        for name, each in told
    )
