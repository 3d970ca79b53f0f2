"""`python3 -m e2e.images build|push|list|lock [NAME...]`."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from e2e.cluster import rust
from e2e.cluster.shell import ClusterError, say, step
from e2e.images import machine
from e2e.images.lock import lock
from e2e.images.machine import Places
from e2e.images.recipe import PUSHED, RECIPES, ROOT, Recipe, key, lineage
from e2e.images.store import Store


def main() -> int:
    """Run one verb; 0 when it did what it says, 1 with a reason on standard error."""
    arguments = _parser().parse_args()
    places = Places.of_environment()
    try:
        with machine.alone(places):
            VERBS[arguments.verb].run(places, arguments)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


def _build(places: Places, arguments: argparse.Namespace) -> None:
    machine.prepare(places)
    build(Store(places), arguments.names or list(PUSHED))


def _push(places: Places, arguments: argparse.Namespace) -> None:
    _build(places, arguments)
    references = push(Store(places), arguments.names or list(PUSHED), arguments.registry)
    text = json.dumps(references, indent=2) + "\n"
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        arguments.out.write_text(text)


def _list(places: Places, arguments: argparse.Namespace) -> None:
    built = {(image.name, image.key): image.size for image in Store(places).images()}
    for name in arguments.names or RECIPES:
        print(f"{name}:{key(name)}  {built.get((name, key(name)), 'not built')}")


def _lock(places: Places, _: argparse.Namespace) -> None:
    machine.prepare(places)
    lock(places)


def build(store: Store, names: list[str]) -> None:
    """Builds the images `names` and their bases, those that are not there yet."""
    for recipe in dict.fromkeys(recipe for name in names for recipe in lineage(name)):
        if not store.has(recipe.name):
            with step(f"build the image {recipe.name}:{key(recipe.name)}"):
                store.build(recipe, _context(store, recipe))
            store.forget(recipe.name)


def push(store: Store, names: list[str], registry: str) -> dict[str, str]:
    """Pushes the images `names`; returns their references by digest."""
    references = {}
    for name in names:
        with step(f"push {name}:{key(name)} to {registry}"):
            references[name] = store.push(name, registry)
    return references


def _context(store: Store, recipe: Recipe) -> Path:
    if recipe.name == "envoy":
        shutil.copy2(rust.module() / rust.LIBRARY, store.places.build)
    if recipe.name != "debian":
        return ROOT / recipe.context
    machine.debian(store.places)
    return store.places.rootfs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m e2e.images", description="The project's container images."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.says, description=verb.says)
        one.add_argument("names", nargs="*", type=_name, metavar="NAME", help=NAMES_HELP)
        if name == "push":
            one.add_argument("--registry", required=True, metavar="HOST:PORT")
            one.add_argument("--out", type=Path, help="write the references by digest here")
    return parser


def _name(given: str) -> str:
    if given in RECIPES:
        return given
    raise argparse.ArgumentTypeError(f"no image is named {given}; there are {', '.join(RECIPES)}")


class Verb(NamedTuple):
    """One verb of the command line: what it does, and what it says it does."""

    run: Callable[[Places, argparse.Namespace], None]
    says: str


NAMES_HELP = "which images; if none is named, those that a cluster runs"

VERBS = {
    "build": Verb(_build, "build what is not built as the files are now"),
    "push": Verb(_push, "build, then push what the registry lacks"),
    "list": Verb(_list, "say which images are built as the files are now"),
    "lock": Verb(_lock, "choose the newest versions allowed and record their hashes"),
}


if __name__ == "__main__":
    sys.exit(main())
