"""Makes one artifact: checks, lets the tool work, judges, and seals."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from modelops.builders.builder import Builder
from modelops.builders.recipe import BUILTIN, Recipe, as_document, digest
from modelops.builders.refused import Refused
from modelops.builders.tools import BUILDERS
from modelops.building.broken import Broken
from modelops.building.gate import judge
from modelops.building.progress import Progress
from modelops.building.report import PAGE, page
from modelops.building.source import Model, read_model
from modelops.building.store import Store, Work, disk_full, disk_troubles
from modelops.building.text import WINDOW
from modelops.building.tool import Event, Tool
from modelops.durable import write_whole

_WEIGHTS: Final = (".safetensors", ".onnx", ".onnx.data", ".gguf")
"""How files of an artifact's weights end."""

STAGES: Final = {"wait": 0, "check": 1, "make": 70, "measure": 24, "report": 1, "seal": 4}
"""The stages in their order, and the share of the time that each is taken to need."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to build and where; ``calibration`` is the file of a dataset that is not built in."""

    recipe: Recipe
    source: Path
    store: Path
    calibration: Path | None = None


def build(order: Order, tool: Tool, progress: Progress) -> dict[str, Any]:
    """Make the artifact unless it is there, and return the ``done`` event.

    Raises Broken, Refused, Failure: what was done by then is used by the next run.
    """
    builder = _builder(order.recipe)
    recipe = builder.complete(order.recipe)
    address = digest(recipe)
    store = Store(order.store)
    with store.lock(address, lambda: progress.at("wait")) as lock:
        progress.at("check")
        manifest = store.complete(address)
        if manifest is not None:
            return _done("AlreadyBuilt", recipe, manifest, progress)
        model = _checked(order, builder, recipe, store)
        making = _Making(order, recipe, model, store.work(address), progress)
        making.run(tool, lock)
        manifest = _sealed(making, store, address)
        return _done("Built", recipe, manifest, progress)


def _checked(order: Order, builder: Builder, recipe: Recipe, store: Store) -> Model:
    model = read_model(order.source, builder.index)
    builder.check(recipe, model.config)
    words = model.config.number("vocab_size") or 0
    logits = recipe.gate.samples * WINDOW * words * 4
    scheme = builder.scheme(recipe)
    kept = model.size if scheme.calibrated else 0
    needed = model.size * scheme.bits // 16 + kept + logits
    if needed > store.free:
        raise disk_full(f"the build needs {needed} bytes, and {store.free} are free")
    calibration = recipe.options.calibration
    given = order.calibration is not None and order.calibration.is_file()
    if calibration and calibration.dataset != BUILTIN and not given:
        raise Broken(
            "CalibrationInvalid",
            f"the calibration dataset {calibration.dataset} is not there",
            f"check its address, or use {BUILTIN}",
            final=True,
        )
    return model


def _builder(recipe: Recipe) -> Builder:
    if recipe.builder not in BUILDERS:
        raise Refused(
            "MethodUnknown",
            f"there is no builder {recipe.builder}",
            f"choose one of {', '.join(BUILDERS)}",
        )
    return BUILDERS[recipe.builder]


@dataclass(frozen=True, slots=True)
class _Making:
    """The work on one artifact, of which an earlier run may have done a part."""

    order: Order
    recipe: Recipe
    model: Model
    work: Work
    progress: Progress

    def run(self, tool: Tool, lock: IO[str]) -> None:
        """Let the tool do what is not done yet. Raises Broken."""
        left = self.left
        if left:
            self.progress.skip_to(left[0])
            file = self.work.folder / "order.json"
            with disk_troubles():
                self.work.begin()
                file.write_text(json.dumps(self._told(left)))
            tool.run(file, self._hear, (lock.fileno(),))
        for stage in self.left:
            raise Broken("ToolFailed", f"the tool did not {stage}", "look at the container's log")

    @property
    def left(self) -> list[str]:
        """The tool's stages that are not done."""
        done = {"make": self.work.made.is_dir(), "measure": self.work.measured.is_file()}
        return [stage for stage, did in done.items() if not did]

    def _told(self, stages: list[str]) -> dict[str, Any]:
        calibration = self.order.calibration
        return {
            "recipe": as_document(self.recipe),
            "source": str(self.order.source),
            "making": str(self.work.making),
            "made": str(self.work.made),
            "kept": str(self.work.kept),
            "scratch": str(self.work.scratch),
            "calibration": str(calibration) if calibration else None,
            "stages": stages,
        }

    def _hear(self, event: Event) -> None:
        if "stage" in event:
            self.progress.at(str(event["stage"]), int(event.get("percent", 0)))
        elif event["did"] == "make":
            with disk_troubles():
                self._finish(event)
        else:
            with disk_troubles():
                write_whole(self.work.measured, json.dumps(event["quality"]))

    def _finish(self, event: Event) -> None:
        """Keep what the tool made, with the files of the source that are no weights."""
        for path in self.model.beside:
            target = self.work.making / path
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.model.folder / path, target)
        facts = {key: event.get(key) for key in ("tools", "device", "devices")}
        facts["seconds"] = self.progress.seconds
        write_whole(self.work.facts, json.dumps(facts))
        self.work.finish()

    def document(self, address: str) -> dict[str, Any]:
        """Return what the manifest tells beside its files."""
        facts = json.loads(self.work.facts.read_text())
        quality = json.loads(self.work.measured.read_text())
        builder = _builder(self.recipe)
        return {
            "digest": address,
            "builder": builder.name,
            "format": builder.format,
            "servedOn": sorted(builder.scheme(self.recipe).served_on),
            "recipe": as_document(self.recipe),
            "lineage": {
                "source": as_document(self.recipe)["source"],
                "builderImage": self.recipe.builder_image,
                "tools": facts["tools"],
                "device": facts["device"],
            },
            "sourceBytes": self.model.size,
            "quality": quality,
            "gate": judge(self.recipe.gate, quality),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": self.progress.seconds,
            "gpuSeconds": round(self.progress.seconds * (facts["devices"] or 0), 3),
        }


def _sealed(making: _Making, store: Store, address: str) -> Mapping[str, Any]:
    """Write the report and let the artifact be complete. Returns its manifest."""
    making.progress.at("report")
    document = making.document(address)
    files = (path for path in making.work.made.rglob("*") if path.name.endswith(_WEIGHTS))
    weights = sum(path.stat().st_size for path in files)
    document["artifactBytes"] = weights
    with disk_troubles():
        report = {key: value for key, value in document.items() if key != "recipe"}
        (making.work.made / "report.json").write_text(json.dumps(report, indent=1))
        (making.work.made / PAGE).write_text(page(document))
    making.progress.at("seal")
    return store.seal(address, document)


def _done(
    reason: str, recipe: Recipe, manifest: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Return the last event: the gate is that of this recipe, not of the one that built."""
    gate = judge(recipe.gate, manifest["quality"])
    quality = {k: v for k, v in manifest["quality"].items() if isinstance(v, int | float)}
    built = reason == "Built"
    return {
        "event": "done",
        "reason": reason,
        "message": gate["sentence"],
        "digest": manifest["digest"],
        "bytesBefore": manifest["sourceBytes"],
        "bytesAfter": manifest["artifactBytes"],
        "quality": quality,
        "gate": gate,
        "lineage": manifest["lineage"],
        "seconds": progress.seconds,
        "gpuSeconds": manifest["gpuSeconds"] if built else 0,
    }
