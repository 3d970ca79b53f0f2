"""What runs on the cluster from the start: DNS and the default storage class."""

from pathlib import Path
from string import Template

from e2e.cluster import golang, network, node
from e2e.cluster.image import ScratchImage
from e2e.cluster.places import Places

MANIFESTS = Path(__file__).parent / "manifests"


def images(places: Places) -> tuple[ScratchImage, ...]:
    """The images the cluster itself needs."""
    return (
        ScratchImage(
            node.PAUSE_IMAGE, {"/pause": golang.stored(golang.PAUSE, places.store)}, ("/pause",)
        ),
        ScratchImage(
            coredns_image(),
            {"/coredns": golang.stored(golang.COREDNS, places.store)},
            ("/coredns",),
        ),
    )


def coredns_image() -> str:
    """Named by its recipe, so that a new build is a new image."""
    return f"localhost/coredns:{golang.COREDNS.version}-{golang.recipe(golang.COREDNS)}"


def manifests() -> str:
    """Every object, as one YAML stream."""
    values = {"coredns_image": coredns_image(), "dns_ip": network.DNS_IP}
    texts = [path.read_text() for path in sorted(MANIFESTS.glob("*.yaml"))]
    return "---\n".join(Template(text).substitute(values) for text in texts)
