"""Takes out of an installed PyTorch what only a GPU needs: `python3 absent_cuda.py SITE_PACKAGES`.

PyTorch's CUDA build runs on a CPU, but its libraries name CUDA's as needed, so that 3 GB would be
there only to be linked. One small library stands in for all that are not installed: links give it
their names, and each of their functions answers cudaErrorNoDevice, which is never asked, since the
real CUDA runtime finds no GPU first. The device code in PyTorch's own libraries is made a hole in
the file. Needs binutils (nm, readelf, as, ld) and util-linux (fallocate).
"""

import subprocess
import sys
from collections import ChainMap, defaultdict
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

STAND_IN = "libabsent_cuda.so"
CUDA_ERROR_NO_DEVICE = 100
SYSTEM_LIBRARIES = Path("/lib/x86_64-linux-gnu")
PACKAGES = ("torch", "torchvision", "torchaudio")
DEVICE_CODE = ".nv_fatbin"


def output(*command: str | Path) -> str:
    """What `command` prints; raises CalledProcessError when it fails."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def needed(library: Path) -> set[str]:
    """The names of the libraries that `library` is linked with."""
    lines = output("readelf", "--dynamic", library).splitlines()
    return {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}


def symbols(library: Path, which: str) -> dict[str, str]:
    """The strong dynamic symbols of `library`, each with its version; `which` is nm's filter."""
    lines = output("nm", "--dynamic", "--portability", which, library).splitlines()
    fields = (line.split() for line in lines)
    split = (field[0].partition("@") for field in fields if field[1] not in "wv")
    return {name: version.lstrip("@") for name, _, version in split}


def union(sets: Iterable[set[str]]) -> set[str]:
    """All members of `sets`."""
    return set[str]().union(*sets)


def installed(site_packages: Path) -> dict[str, Path]:
    """Every library that the dynamic linker can find, by name."""
    folders = (SYSTEM_LIBRARIES.glob("*.so*"), site_packages.rglob("*.so*"))
    return {path.name: path for folder in folders for path in folder}


def absent_symbols(libraries: list[Path], places: dict[str, Path]) -> dict[str, str]:
    """The symbols of `libraries` that nothing they are linked with has, each with its version."""
    linked = {places[name] for name in union(map(needed, libraries)) if name in places}
    offering = linked | {*libraries, Path(sys.executable)}
    offered = union(set(symbols(path, "--defined-only")) for path in offering)
    wanted = ChainMap(*(symbols(library, "--undefined-only") for library in libraries))
    return {name: version for name, version in wanted.items() if name not in offered}


def version_script(absent: dict[str, str]) -> str:
    """The linker's script that gives each symbol its version."""
    nodes = defaultdict(list)
    for name, version in sorted(absent.items()):
        nodes[version].append(f"{name};")
    return "\n".join(f"{node} {{ {' '.join(names)} }};" for node, names in nodes.items() if node)


def assembly(absent: Iterable[str]) -> str:
    """The source of the stand-in: all functions are one."""
    labels = "".join(
        f".globl {name}\n.type {name}, @function\n{name}:\n" for name in sorted(absent)
    )
    head = '.section .note.GNU-stack, "", @progbits\n.text\n'
    return f"{head}{labels}mov ${CUDA_ERROR_NO_DEVICE}, %eax\nret\n"


def build(absent: dict[str, str], library: Path) -> None:
    """Assembles and links the stand-in for the functions `absent` as `library`."""
    with TemporaryDirectory() as scratch:
        source, script, compiled = (Path(scratch, name) for name in ("a.s", "a.map", "a.o"))
        source.write_text(assembly(absent))
        script.write_text(version_script(absent))
        output("as", "-o", compiled, source)
        named = ("-soname", library.name, "--version-script", script)
        output("ld", "-shared", *named, "-o", library, compiled)


def punch(library: Path) -> int:
    """Makes a hole of the device code of `library`; returns its bytes, 0 where there is none."""
    sections = output("readelf", "--section-headers", "--wide", library).splitlines()
    for fields in (line.partition("]")[2].split() for line in sections):
        if fields[:1] == [DEVICE_CODE]:
            offset, length = int(fields[3], 16), int(fields[4], 16)
            where = ("--offset", str(offset), "--length", str(length))
            output("fallocate", "--punch-hole", *where, library)
            return length
    return 0


def main() -> None:
    """The command line."""
    site_packages = Path(sys.argv[1])
    folders = (site_packages / package for package in PACKAGES)
    libraries = sorted(path for folder in folders for path in folder.rglob("*.so"))
    places = installed(site_packages)
    names = union(map(needed, libraries)) - set(places)
    absent = absent_symbols(libraries, places)
    folder = site_packages / "torch/lib"
    build(absent, folder / STAND_IN)
    for name in names:
        (folder / name).symlink_to(STAND_IN)
    holes = sum(map(punch, libraries))
    sys.stderr.write(
        f"{STAND_IN} has {len(absent)} functions and stands in for {', '.join(sorted(names))}\n"
        f"{holes / 1e6:.0f} MB of device code became holes\n"
    )


if __name__ == "__main__":
    main()
