"""A fake API server, in memory, behind the transport's seam.

It knows objects, namespaces, label selectors, uids, resource versions, generations, the status
subresource and server-side apply with field ownership. It has no schema, no defaults, no admission
and no controllers: what those do is tested on a real one.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from modelops.cluster import Answer, Unreachable

Path = tuple[Any, ...]
Fields = dict[Path, Any]
Address = tuple[str, str, str]
"""Resource's root (group and version), plural and namespace/name."""

ITEM_KEYS = ("type", "name", "uid", "containerPort", "port")
"""The first of these that an item of a list has names it; other lists are atomic."""


def flatten(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the leaves of an object with their paths; named items of lists count as fields."""
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from flatten(child, (*path, key))
    elif isinstance(value, list) and value and all(_key(item) for item in value):
        for item in value:
            yield from flatten(item, (*path, _key(item)))
    else:
        yield path, value


def _key(item: Any) -> tuple[str, Any] | None:
    keys = (key for key in ITEM_KEYS if isinstance(item, Mapping) and key in item)
    return next(((key, item[key]) for key in keys), None)


def unflatten(fields: Fields) -> Any:
    """Return the object whose leaves these are."""
    if () in fields:
        return fields[()]
    groups: dict[Any, Fields] = {}
    for path, value in fields.items():
        groups.setdefault(path[0], {})[path[1:]] = value
    children = {key: unflatten(group) for key, group in groups.items()}
    named = any(isinstance(key, tuple) for key in children)
    return list(children.values()) if named else children


@dataclass
class Stored:
    """One object: its fields and which manager owns which of them."""

    fields: Fields
    owners: dict[str, set[Path]] = field(default_factory=dict)

    def apply(self, manager: str, wanted: Fields) -> None:
        """Make the manager's fields exactly these, by force."""
        dropped = self.owners.get(manager, set()) - wanted.keys()
        for path in dropped:
            if not any(path in owned for m, owned in self.owners.items() if m != manager):
                self.fields.pop(path, None)
        for path, value in wanted.items():
            if self.fields.get(path) != value:
                self._take(path)
            self.fields[path] = value
        self.owners[manager] = set(wanted)

    def _take(self, path: Path) -> None:
        """Whoever owned the field, what stood above it or what lies below it, loses it."""
        clashing = [p for p in self.fields if p[: len(path)] == path or path[: len(p)] == p]
        for other in clashing:
            self.fields.pop(other)
            for owned in self.owners.values():
                owned.discard(other)

    @property
    def manifest(self) -> dict[str, Any]:
        """The object as the API shows it."""
        return copy.deepcopy(unflatten(self.fields))


Refusal = Callable[[str, Mapping[str, Any] | None], Answer | None]
"""Told the method with the path and the body; returns the answer instead of doing it, or None."""


@dataclass
class FakeApiServer:
    """The transport and the state behind it; ``history`` has every object as it was written."""

    objects: dict[Address, Stored] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    refusal: Refusal = lambda *_: None
    writes_left: int | None = None
    """How many writes succeed before the server is gone; None: it stays."""
    down: bool = False
    version: int = 0
    requests: list[str] = field(default_factory=list)

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, content_type: str
    ) -> Answer:
        """Answer one request as an API server would."""
        self._arrive(method, path)
        refused = self.refusal(f"{method} {path}", body)
        if refused:
            return refused
        body = json.loads(json.dumps(body))
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        root, plural, place, subresource = _parse(unquote(url.path))
        address = (root, plural, place)
        if method == "GET" and subresource == "log":
            return Answer(200, (self.logs.get(place, "") + "\n").encode())
        if method == "GET":
            return self._read(address, query)
        if method == "PATCH" and subresource == "scale":
            assert content_type == "application/json-patch+json"
            return self._scale(address, body)
        if method == "PATCH":
            assert content_type == "application/apply-patch+yaml"
            return self._apply(address, body, query["fieldManager"], subresource)
        verbs = {"POST": self._create, "DELETE": self._delete, "PUT": self._replace}
        return verbs[method](address, body)

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """Watch without ever being told of anything."""
        self._arrive("GET", path)
        await asyncio.Event().wait()
        yield b""

    def put(self, manifest: dict[str, Any], plural: str) -> dict[str, Any]:
        """Have an object in the cluster as if someone else had made it."""
        meta = manifest["metadata"]
        root = _root(manifest["apiVersion"])
        address = (root, plural, f"{meta['namespace']}/{meta['name']}")
        stored = Stored(dict(flatten(self._born(manifest))))
        self.objects[address] = stored
        return stored.manifest

    def find(self, plural: str, place: str) -> dict[str, Any] | None:
        """Return an object by its plural and namespace/name."""
        found = (s for (_, p, n), s in self.objects.items() if (p, n) == (plural, place))
        stored = next(found, None)
        return stored.manifest if stored else None

    def edit(self, plural: str, place: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change an object as if someone else had."""
        (address,) = (a for a in self.objects if a[1:] == (plural, place))
        stored = self.objects[address]
        manifest = stored.manifest
        change(manifest)
        self._write(stored, Stored(dict(flatten(manifest)), stored.owners))

    def _arrive(self, method: str, path: str) -> None:
        if self.down:
            raise Unreachable("the fake API server is down")
        if method != "GET" and self.writes_left is not None:
            if self.writes_left == 0:
                raise Unreachable("the fake API server is gone")
            self.writes_left -= 1
        self.requests.append(f"{method} {path}")

    def _read(self, address: Address, query: Mapping[str, str]) -> Answer:
        root, plural, place = address
        if not place.endswith("/"):
            stored = self.objects.get(address)
            return _answer(200, stored.manifest) if stored else _missing(address)
        wanted = [tuple(s.split("=")) for s in query.get("labelSelector", "").split(",") if s]
        items = [
            stored.manifest
            for (r, p, name), stored in self.objects.items()
            if (r, p) == (root, plural) and (place == "/" or name.startswith(place))
        ]
        chosen = [i for i in items if _labelled(i, wanted)]
        return _answer(200, {"metadata": {}, "items": chosen})

    def _scale(self, address: Address, steps: list[dict[str, Any]]) -> Answer:
        stored = self.objects.get(address)
        if stored is None:
            return _missing(address)
        test, add = steps
        asked = stored.manifest["spec"].get("scaling", {}).get("replicas", -(2**31))
        if test["value"] != (asked or None):
            return _failure(422, "the server rejected our request: testing value failed")
        manifest = stored.manifest
        manifest["spec"].setdefault("scaling", {})["replicas"] = add["value"]
        self._write(stored, Stored(dict(flatten(manifest)), stored.owners))
        return _answer(200, {"spec": {"replicas": add["value"]}})

    def _create(self, address: Address, body: dict[str, Any]) -> Answer:
        meta = body["metadata"]
        address = (*address[:2], f"{meta['namespace']}/{meta['name']}")
        if address in self.objects:
            return _failure(409, f"{address[1]} {meta['name']} already exists")
        self.objects[address] = Stored(dict(flatten(self._born(body))))
        return _answer(201, self.objects[address].manifest)

    def _delete(self, address: Address, body: dict[str, Any]) -> Answer:
        stored = self.objects.get(address)
        if stored is None:
            return _missing(address)
        wanted = body["preconditions"]["uid"]
        if wanted != stored.manifest["metadata"]["uid"]:
            return _failure(409, f"the UID in the precondition ({wanted}) does not match")
        del self.objects[address]
        self.history.append({"kind": "Deletion", "address": address})
        return _answer(200, {})

    def _replace(self, address: Address, body: dict[str, Any]) -> Answer:
        stored = self.objects.get(address)
        if stored is None:
            return _missing(address)
        if body["metadata"]["resourceVersion"] != stored.manifest["metadata"]["resourceVersion"]:
            return _failure(409, "the object has been modified")
        self._write(stored, Stored(dict(flatten(body)), stored.owners))
        return _answer(200, stored.manifest)

    def _apply(
        self, address: Address, body: dict[str, Any], manager: str, subresource: str
    ) -> Answer:
        stored = self.objects.get(address)
        uid = body["metadata"].pop("uid", None)
        if stored is None and (subresource or uid):
            return _missing(address) if subresource else _failure(409, "no such uid")
        if stored is None:
            stored = self.objects[address] = Stored(dict(flatten(self._born({**body, "spec": {}}))))
        if uid not in {None, stored.manifest["metadata"]["uid"]}:
            return _failure(409, f"Precondition failed: UID in precondition: {uid}")
        part = {"status": body["status"]} if subresource else body
        changed = Stored(dict(stored.fields), {m: set(p) for m, p in stored.owners.items()})
        changed.fields.pop(("spec",), None)
        changed.apply(f"{manager}/{subresource}", dict(flatten(part)))
        self._write(stored, changed)
        return _answer(200, stored.manifest)

    def _born(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        self.version += 1
        meta = {
            "uid": f"uid-{self.version}",
            "resourceVersion": str(self.version),
            "generation": 1,
            **manifest["metadata"],
        }
        return {**manifest, "metadata": meta}

    def _write(self, stored: Stored, changed: Stored) -> None:
        """Take a change over; one that changes nothing leaves the version alone."""
        before, after = stored.manifest, changed.manifest
        if before != after:
            self.version += 1
            changed.fields["metadata", "resourceVersion"] = str(self.version)
            if before.get("spec") not in ({}, after.get("spec")):
                changed.fields["metadata", "generation"] = before["metadata"]["generation"] + 1
        stored.fields, stored.owners = changed.fields, changed.owners
        if before != after:
            self.history.append(stored.manifest)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _parse(path: str) -> tuple[str, str, str, str]:
    """Return root, plural, namespace/name (a list's name is empty) and subresource."""
    parts = path.strip("/").split("/")
    depth = 3 if parts[0] == "apis" else 2
    root, rest = "/" + "/".join(parts[:depth]), parts[depth:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return root, plural, f"{namespace}/{name}", subresource


def _labelled(manifest: Mapping[str, Any], wanted: list[tuple[str, ...]]) -> bool:
    labels = manifest["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in wanted)


def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _failure(status: int, message: str) -> Answer:
    return _answer(status, {"kind": "Status", "message": message, "code": status})


def _missing(address: Address) -> Answer:
    return _failure(404, f'{address[1]} "{address[2]}" not found')
