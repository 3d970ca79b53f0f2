"""Keys, certificates and kubeconfigs of a control plane."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.shell import run

DAYS = "3650"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a directory: `<name>.crt` and `<name>.key`."""

    directory: Path
    name: str

    @property
    def certificate(self) -> Path:
        """The authority's own certificate."""
        return self.directory / f"{self.name}.crt"

    def create(self) -> None:
        """Make the authority unless it exists."""
        if self.certificate.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        key = self.directory / f"{self.name}.key"
        subject = ("-subj", f"/CN={self.name}", "-days", DAYS)
        extensions = ("-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign")
        output = ("-keyout", key, "-out", self.certificate)
        run("openssl", "req", "-x509", *CURVE, *subject, *extensions, *output)

    def issue(self, name: str, subject: str, hosts: tuple[str, ...] = ()) -> "Pair":
        """A key and certificate for client use, and for serving when there are hosts."""
        pair = Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        if not pair.certificate.exists():
            self._sign(pair, subject, hosts)
        return pair

    def _sign(self, pair: "Pair", subject: str, hosts: tuple[str, ...]) -> None:
        request = pair.certificate.with_suffix(".csr")
        run("openssl", "req", *CURVE, "-subj", subject, "-keyout", pair.key, "-out", request)
        extensions = pair.certificate.with_suffix(".ext")
        extensions.write_text(_extensions(hosts))
        draft = pair.certificate.with_suffix(".draft")
        authority = ("-CA", self.certificate, "-CAkey", self.certificate.with_suffix(".key"))
        validity = ("-days", DAYS, "-CAcreateserial", "-extfile", extensions)
        run("openssl", "x509", "-req", "-in", request, *authority, *validity, "-out", draft)
        draft.rename(pair.certificate)
        request.unlink()
        extensions.unlink()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


def _extensions(hosts: tuple[str, ...]) -> str:
    usage = "extendedKeyUsage=clientAuth" + (",serverAuth" if hosts else "")
    names = ",".join(f"{'IP' if host[-1].isdigit() else 'DNS'}:{host}" for host in hosts)
    alternatives = f"subjectAltName={names}\n" if hosts else ""
    return f"keyUsage=critical,digitalSignature,keyEncipherment\n{usage}\n{alternatives}"


def signing_key(directory: Path) -> Pair:
    """The key pair that signs service account tokens (`certificate` is the public key)."""
    pair = Pair(directory / "sa.pub", directory / "sa.key")
    if not pair.certificate.exists():
        directory.mkdir(parents=True, exist_ok=True)
        run("openssl", "genrsa", "-out", pair.key, "2048")
        run("openssl", "rsa", "-in", pair.key, "-pubout", "-out", pair.certificate)
    return pair


def kubeconfig(server: str, authority: Authority, user: str, pair: Pair) -> str:
    """A self-contained kubeconfig, as JSON (which every YAML reader takes)."""
    cluster = {"server": server, "certificate-authority-data": _base64(authority.certificate)}
    credentials = {
        "client-certificate-data": _base64(pair.certificate),
        "client-key-data": _base64(pair.key),
    }
    name = "modelops-local"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2) + "\n"


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
