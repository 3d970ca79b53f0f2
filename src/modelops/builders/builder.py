"""A builder as data: which methods it knows, and how its container is run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from modelops.builders.recipe import Calibration, Metric, Options, Recipe
from modelops.builders.refused import Refused
from modelops.registry.configuration import Configuration

Device = Literal["cpu", "gpu"]

_COMMAND: Final = ("python3", "-m", "modelops.building.main")
_EACH: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to store weights.

    ``group_size`` is how many weights share a scale, None where a whole row does; ``grouped`` tells
    whether the user may choose it. ``calibrated`` schemes need text. ``served_on`` are the devices
    on which the platform's engine serves it.
    """

    name: str
    bits: int
    group_size: int | None = None
    grouped: bool = False
    calibrated: bool = False
    served_on: frozenset[Device] = frozenset({"cpu", "gpu"})


@dataclass(frozen=True, slots=True)
class Method:
    """One way to choose the stored weights; the first scheme is its default.

    ``architectures`` are those it knows, by class; None is all.
    """

    name: str
    description: str
    schemes: tuple[Scheme, ...]
    architectures: frozenset[str] | None = None

    def scheme(self, options: Options) -> Scheme:
        """Return the scheme that the options name. Raises Refused."""
        fitting = [s for s in self.schemes if options.scheme in {None, s.name}]
        if not fitting:
            raise _unknown_scheme(self, f"does not know the scheme {options.scheme}")
        fitting = [s for s in fitting if options.bits in {None, s.bits}]
        if not fitting:
            asked = f" with the scheme {options.scheme}" if options.scheme else ""
            raise _unknown_scheme(self, f"has no {options.bits} bits{asked}")
        return fitting[0]


@dataclass(frozen=True, slots=True)
class Builder:
    """What makes artifacts of one kind.

    ``image`` names the platform's image, ``kinds`` the serving kinds it builds for, ``format`` what
    it writes, ``architectures`` a pattern of the classes it takes. ``index`` is the file that says
    what a source is, ``metrics`` what its tool measures, the usual gate's first. ``device`` is what
    it must have; ``memory_factor`` are hundredths of the source's bytes that it needs beside
    ``memory_base``.
    """

    name: str
    description: str
    image: str
    kinds: frozenset[str]
    format: str
    methods: Mapping[str, Method]
    architectures: str
    metrics: tuple[Metric, ...] = ("kl", "perplexity", "agreement")
    index: str = "config.json"
    device: Device = "cpu"
    cpu: str = "2"
    memory_base: int = 3 * _EACH
    memory_factor: int = 250

    def complete(self, recipe: Recipe) -> Recipe:
        """Return the recipe with every default written out. Raises Refused."""
        scheme = self.scheme(recipe)
        given = recipe.options
        group = given.group_size or scheme.group_size
        calibration = (given.calibration or Calibration()) if scheme.calibrated else None
        full = Options(scheme.name, scheme.bits, group, tuple(sorted(given.ignore)), calibration)
        gate = replace(recipe.gate, metric=recipe.gate.metric or self.metrics[0])
        return replace(recipe, options=full, gate=gate)

    def scheme(self, recipe: Recipe) -> Scheme:
        """Return how the weights will be stored. Raises Refused."""
        return self.method(recipe.method).scheme(recipe.options)

    def method(self, name: str) -> Method:
        """Return a method by its name. Raises Refused."""
        if name not in self.methods:
            raise Refused(
                "MethodUnknown",
                f"the builder {self.name} does not know the method {name}",
                f"choose one of {', '.join(self.methods)}",
            )
        return self.methods[name]

    def check(self, recipe: Recipe, config: Configuration | None = None) -> None:
        """Check a recipe, and the model's config.json where it is known. Raises Refused."""
        scheme = self.scheme(recipe)
        _check_metric(recipe.gate.metric, self)
        group = recipe.options.group_size
        if group and not scheme.grouped and group != scheme.group_size:
            raise Refused(
                "GroupSizeMismatch",
                f"{scheme.name} has no choice of group size",
                "leave groupSize out",
            )
        if config is None:
            return
        try:
            self._check_model(recipe, scheme, config)
        except ValueError as error:
            raise Refused(
                "ArchitectureUnsupported",
                f"the source's configuration cannot be read: {error}",
                "correct config.json, or choose another model",
            ) from error

    def memory(self, source_bytes: int) -> int:
        """Return the bytes of memory that the container needs for a source of that size."""
        return self.memory_base + source_bytes * self.memory_factor // 100

    def _check_model(self, recipe: Recipe, scheme: Scheme, config: Configuration) -> None:
        _check_plain(config)
        self._check_architecture(recipe, config)
        if self.index != "config.json":
            return
        _check_groups(recipe.options.group_size or scheme.group_size, config)
        config.number("vocab_size")
        _check_context(self.complete(recipe).options.calibration, config)

    def _check_architecture(self, recipe: Recipe, config: Configuration) -> None:
        name = config.architecture or config.pipeline
        if name is None or not re.search(self.architectures, name):
            told = f"the architecture {name}" if name else "a model that names no architecture"
            raise Refused(
                "ArchitectureUnsupported",
                f"{self.name} does not build {told}",
                "choose another builder or model",
            )
        known = self.method(recipe.method).architectures
        if known is not None and name not in known:
            others = ", ".join(m.name for m in self.methods.values() if m.architectures is None)
            raise Refused(
                "ArchitectureUnsupported",
                f"{recipe.method} does not know the layers of {name}",
                f"choose a method that works on any: {others}",
            )


def command(recipe: str, source: str, out: str) -> tuple[str, ...]:
    """Return the container's command line for a recipe file, a source and an output folder."""
    return (*_COMMAND, f"--recipe={recipe}", f"--source={source}", f"--out={out}")


def _check_metric(metric: Metric | None, builder: Builder) -> None:
    if metric and metric not in builder.metrics:
        raise Refused(
            "MetricUnknown",
            f"the builder {builder.name} does not measure {metric}",
            f"set gate.metric to one of {', '.join(builder.metrics)}",
        )


def _check_plain(config: Configuration) -> None:
    held = config.root.get("quantization_config") or config.text.get("quantization_config")
    if isinstance(held, dict):
        method = str(held.get("quant_method", "another method"))[:40]
        raise Refused(
            "AlreadyQuantized",
            f"the source is quantized already, with {method}",
            "build from the original weights, or serve the source as it is",
        )


def _check_groups(group: int | None, config: Configuration) -> None:
    for name, width in _widths(config).items() if group else ():
        if width % (group or 1):
            fitting = [each for each in (128, 64, 32, 16) if not width % each]
            fits = f"; {fitting[0]} does" if fitting else ""
            raise Refused(
                "GroupSizeMismatch",
                f"groups of {group} weights do not divide the model's {name} of {width}{fits}",
                "choose another groupSize, or a method without groups such as FP8",
            )


def _widths(config: Configuration) -> dict[str, int]:
    """Return what the rows of the linear layers are long, as far as it is told."""
    names = ("hidden_size", "intermediate_size", "moe_intermediate_size")
    told = {name: config.number(name) for name in names}
    heads, width = config.number("num_attention_heads"), config.number("head_dim")
    told["attention width"] = heads * width if heads and width else None
    return {name: width for name, width in told.items() if width}


def _check_context(calibration: Calibration | None, config: Configuration) -> None:
    longest = config.context_length
    if calibration and longest and calibration.sequence_length > longest:
        raise Refused(
            "CalibrationInvalid",
            f"calibration.sequenceLength is {calibration.sequence_length}, "
            f"more than the model's context of {longest}",
            f"set calibration.sequenceLength to {longest} or less",
        )


def _unknown_scheme(method: Method, fault: str) -> Refused:
    known = ", ".join(f"{scheme.name} ({scheme.bits} bits)" for scheme in method.schemes)
    return Refused("SchemeUnknown", f"{method.name} {fault}", f"choose one of {known}")
