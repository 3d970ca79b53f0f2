"""What a job takes that it does not say, and what it may ask for at most (pure)."""

from dataclasses import dataclass

from diffusion.family import Family
from diffusion.options import Options


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may ask for at most; ``width`` and ``height`` are in pixels."""

    width: int
    height: int
    steps: int
    images: int


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a model is asked for by a prompt alone, and its limits."""

    family: Family
    limits: Limits
    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str | None

    @classmethod
    def of(cls, options: Options, family: Family) -> "Defaults":
        """Return what the options say and, where they do not, what the family wants.

        Raises ValueError where a default is more than its limit.
        """
        side = family.side
        limits = Limits(
            width=options.max_width or max(2 * side, options.width or 0),
            height=options.max_height or max(2 * side, options.height or 0),
            steps=options.max_steps or max(100, options.steps or 0),
            images=options.max_images,
        )
        chosen = cls(
            family=family,
            limits=limits,
            width=options.width or min(side, limits.width),
            height=options.height or min(side, limits.height),
            steps=options.steps or min(family.steps, limits.steps),
            guidance=family.guidance if options.guidance is None else options.guidance,
            scheduler=options.scheduler,
        )
        chosen.check()
        return chosen

    def check(self) -> None:
        """Raise ValueError when a default is one that no job could ask for."""
        limits, multiple = self.limits, self.family.multiple
        pairs = {
            "width": (self.width, limits.width),
            "height": (self.height, limits.height),
            "steps": (self.steps, limits.steps),
        }
        for name, (usual, most) in pairs.items():
            if usual > most:
                raise ValueError(f"the default {name} {usual} is more than the limit {most}")
        if self.width % multiple or self.height % multiple:
            message = f"the default width and height must be multiples of {multiple}"
            raise ValueError(f"{message} for this model, not {self.width} and {self.height}")
