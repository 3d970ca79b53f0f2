"""Jobs and models to ask them of."""

from pathlib import Path
from typing import Any

from diffusion.defaults import Defaults
from diffusion.family import SD, Configs, Family
from diffusion.job import Job, parse
from diffusion.options import Options

SCRATCH = "/scratch"


def defaults(family: Family = SD, **options: Any) -> Defaults:
    """Return the defaults of a model that was started with these options."""
    return Defaults.of(Options(model=Path("/weights/model"), **options), family)


def job(
    operation: str = "images.generate",
    files: dict[str, str] | None = None,
    of: Defaults | None = None,
    **asked: Any,
) -> Job:
    """Return the job that asks for this."""
    body = {"id": "a", "attempt": 1, "operation": operation, "output": "/scratch/a"}
    return parse({**body, "input": asked, "files": files or {}}, of or defaults(), SCRATCH)


def configs(made: str, **documents: Any) -> Configs:
    """Return the configuration of a pipeline of that class; `vae__config` is vae/config.json."""
    named = {f"{name.replace('__', '/')}.json": value for name, value in documents.items()}
    return {"model_index.json": {"_class_name": made}, **named}
