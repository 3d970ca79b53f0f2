"""Takes orders of images and answers with what was made, or with the job that makes it."""

import asyncio
import base64
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from modelops.gateway.answers import Refusal
from modelops.gateway.jobapi import words
from modelops.gateway.jobapi.asked import Asked, Wrong, asked, excess
from modelops.gateway.jobapi.form import Form
from modelops.gateway.jobapi.news import News, heard
from modelops.gateway.snapshot import Model, Route, Snapshot
from modelops.gateway.typed import Json
from modelops.jobs.job import Job, Made, Order, State
from modelops.jobs.queue import Conflict, Place, Refused
from modelops.jobs.store import Store
from modelops.jobs.streams import Streams, identity

LANES: Final = {"High": "high", "Standard": "normal", "Low": "low"}
"""The lane of a tenant's priority."""


class Refusing(Exception):
    """A request is answered with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        """Take it."""
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as Envoy tells: the tenant, the key's id, the model's name that it may use."""

    tenant: str
    key: str = ""
    model: str = ""
    once: str = ""
    """The caller's Idempotency-Key."""


@dataclass(slots=True)
class Desk:
    """``url_seconds`` is how long a signed URL is good for."""

    queue: Streams
    store: Store
    news: News
    url_seconds: int = 3600
    signs: bool = False
    """Whether webhooks can be signed."""
    _snapshot: Snapshot = field(default_factory=Snapshot)

    def follow(self, snapshot: Snapshot) -> None:
        """Take what there is to serve now."""
        self._snapshot = snapshot

    async def order(self, path: str, form: Form, caller: Caller) -> Job:
        """Return the job that does what is asked for; raises Refusing."""
        try:
            said = asked(path, form.fields, form.digests)
        except Wrong as error:
            raise Refusing(words.wrong(str(error))) from error
        if said.webhook and not self.signs:
            raise Refusing(words.NO_SECRET)
        model, id_ = self._model(caller.model), identity()
        order = self._order(id_, model, said, caller)
        over = excess(said.input, await self.queue.limits(order.model))
        if over:
            raise Refusing(words.wrong(over))
        kept = {role: f"s3://{self.store.name}/{_input(id_, role)}" for role in form.files}
        return await self._submitted(_with(order, kept), form, said, caller)

    async def _submitted(self, order: Order, form: Form, said: Asked, caller: Caller) -> Job:
        """Store the files first: a job that is in the queue has all that it needs."""
        await asyncio.gather(*(self._keep(order.id, role, form) for role in form.files))
        try:
            told = await self.queue.submit(order, once=caller.once, alike=said.alike)
        except Refused as error:
            await self._drop(order)
            raise Refusing(words.full(error.why, error.seconds)) from error
        except Conflict as error:
            await self._drop(order)
            raise Refusing(words.conflict(str(error))) from error
        if told.id != order.id:
            await self._drop(order)
        return await self.mine(told.id, caller)

    async def _keep(self, id_: str, role: str, form: Form) -> None:
        file = form.files[role]
        await asyncio.to_thread(self.store.put, file.content, _input(id_, role), file.content_type)

    async def _drop(self, order: Order) -> None:
        """Take away the files of a job that there will not be."""
        if order.files:
            await asyncio.to_thread(self.store.remove, f"{order.id}/")

    def _model(self, name: str) -> Model:
        """Return the model that a name leads to; of several one by chance, by their weights."""
        found = next((o for o in self._snapshot.offers if o.served_name == name), None)
        if isinstance(found, Route):
            shares = [(t.model, t.weight) for t in found.targets if t.model.jobs]
            whole = sum(weight for _, weight in shares)
            weights = [weight if whole else 1 for _, weight in shares]
            models = [model for model, _ in shares]
            found = random.choices(models, weights)[0] if models else None  # noqa: S311  no secret
        if found is None or not found.jobs:
            raise Refusing(words.NO_MODEL)
        if found.state == "off":
            raise Refusing(words.MODEL_OFF)
        return found

    def _order(self, id_: str, model: Model, said: Asked, caller: Caller) -> Order:
        tenant = next((t for t in self._snapshot.tenants if t.name == caller.tenant), None)
        return Order(
            id=id_,
            model=f"{model.namespace}/{model.name}",
            tenant=caller.tenant,
            operation=said.operation,
            input=said.input,
            files=said.urls,
            asked=caller.model,
            key=caller.key,
            lane=LANES[tenant.priority] if tenant else "normal",
            seconds=said.seconds,
            answer=said.answer,
            webhook=said.webhook,
        )

    async def mine(self, id_: str, caller: Caller) -> Job:
        """Return a job of the caller's tenant; raises Refusing for any other."""
        job = await self.queue.get(id_)
        if job is None or job.order.tenant != caller.tenant:
            raise Refusing(words.UNKNOWN)
        return job

    async def ended(self, job: Job, seconds: float) -> Job:
        """Return the job once it has ended, or as it is after so long."""
        end = time.monotonic() + seconds
        async with self.news.of(job.order.id) as event:
            while not job.state.ended and (left := end - time.monotonic()) > 0:
                await heard(event, left)
                job = await self.queue.get(job.order.id) or job
        return job

    async def described(self, job: Job) -> Json:
        """Return a job as its caller sees it."""
        waits = job.state is State.QUEUED
        place: Place | None = await self.queue.place(job.order.id) if waits else None
        return words.told(job, place, self.url)

    async def images(self, job: Job) -> Json:
        """Return what a job made; raises Refusing if that is nothing."""
        if not job.state.ended:
            raise Refusing(words.RUNS_STILL)
        if job.result is None:
            raise Refusing(words.failure(job))
        if job.order.answer != "b64_json":
            made = job.result.files
            return words.images(job, [words.image(m, url=self.url(m)) for m in made])
        data = [await asyncio.to_thread(self._whole, made) for made in job.result.files]
        return words.images(job, data)

    def _whole(self, made: Made) -> Json:
        content = b"".join(self.store.chunks(made.place))
        return words.image(made, b64_json=base64.b64encode(content).decode())

    def url(self, made: Made) -> str:
        """Return where a file can be fetched."""
        return self.store.url(made.place, self.url_seconds)

    async def delete(self, job: Job) -> None:
        """Stop a job if it is not done, and forget it and its files."""
        await self.queue.cancel(job.order.id)
        await asyncio.to_thread(self.store.remove, f"{job.order.id}/")
        await self.queue.delete(job.order.id)


def _input(id_: str, role: str) -> str:
    return f"{id_}/in/{role}"


def _with(order: Order, files: Mapping[str, str]) -> Order:
    return replace(order, files={**order.files, **files})
