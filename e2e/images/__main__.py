"""`python3 -m e2e.images build|push|list|lock [NAME...]`."""

import argparse
import json
import sys
from pathlib import Path

from e2e.images import machine
from e2e.images.lock import lock
from e2e.images.recipe import PUSHED, RECIPES, ROOT, Recipe, key, lineage
from e2e.images.store import Store
from e2e.step import step


def main() -> None:
    """The command line."""
    arguments = _parser().parse_args()
    places = machine.Places.of_environment()
    names = arguments.names or list(PUSHED)
    if arguments.verb == "list":
        show(Store(places))
        return
    machine.prepare(places)
    if arguments.verb == "lock":
        lock(places)
        return
    build(Store(places), names)
    if arguments.verb == "push":
        references = push(Store(places), names, arguments.registry)
        _write(references, arguments.out)


def build(store: Store, names: list[str]) -> None:
    """Builds the images `names` and their bases, those that are not there yet."""
    for recipe in dict.fromkeys(recipe for name in names for recipe in lineage(name)):
        if not store.has(recipe.name):
            with step(f"build the image {recipe.name}:{key(recipe.name)}"):
                store.build(recipe, _context(store, recipe))


def push(store: Store, names: list[str], registry: str) -> dict[str, str]:
    """Pushes the images `names`; returns their references by digest."""
    references = {}
    for name in names:
        with step(f"push {name}:{key(name)} to {registry}"):
            references[name] = store.push(name, registry)
    return references


def show(store: Store) -> None:
    """Prints the images of the project and whether they are built as the files are now."""
    built = {(image.name, image.key): image.bytes for image in store.images()}
    for name in RECIPES:
        size = built.get((name, key(name)))
        print(f"{name}:{key(name)}  {size or 'not built'}")


def _context(store: Store, recipe: Recipe) -> Path:
    if recipe.name != "debian":
        return ROOT / recipe.context
    machine.debian(store.places)
    return store.places.rootfs


def _write(references: dict[str, str], out: Path | None) -> None:
    text = json.dumps(references, indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.images", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, says in VERBS.items():
        one = verbs.add_parser(verb, help=says)
        one.add_argument("names", nargs="*", metavar="NAME")
        if verb == "push":
            one.add_argument("--registry", required=True, metavar="HOST:PORT")
            one.add_argument("--out", type=Path, help="write the references by digest here")
    return parser


VERBS = {
    "build": "build what is not built yet",
    "push": "build, then push what the registry lacks",
    "list": "say which images are built as the files are now",
    "lock": "choose the newest versions that the requirements allow and record their hashes",
}


if __name__ == "__main__":
    main()
