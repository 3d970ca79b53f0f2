"""KEDA's protocol, with a real gRPC client against the real server."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_tools import protoc

from gateway.pod import CHAT, Pod, Told, eventually, page, pods, served_by, telling
from modelops.gateway.demand import externalscaler_pb2
from modelops.gateway.demand.externalscaler_pb2 import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    ScaledObjectRef,
)

KINDS = {
    "IsActive": (ScaledObjectRef, IsActiveResponse),
    "GetMetricSpec": (ScaledObjectRef, GetMetricSpecResponse),
    "GetMetrics": (GetMetricsRequest, GetMetricsResponse),
}


def reference(model: str = "team/chat", namespace: str = "team") -> ScaledObjectRef:
    """Return what KEDA asks with."""
    metadata = {"scalerAddress": "x:9905", "model": model} if model else {}
    return ScaledObjectRef(name="chat", namespace=namespace, scalerMetadata=metadata)


class Keda:
    """KEDA's side of one connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Speak over this channel."""
        self.channel = channel

    def call(self, method: str) -> Callable[[Any], Any]:
        """Return what calls a method that answers once."""
        asked, answered = KINDS[method]
        return self.channel.unary_unary(
            f"/externalscaler.ExternalScaler/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )

    def stream(self, asked: ScaledObjectRef) -> Any:
        """Return a stream of whether a model is active."""
        open_ = self.channel.unary_stream(
            "/externalscaler.ExternalScaler/StreamIsActive",
            request_serializer=ScaledObjectRef.SerializeToString,
            response_deserializer=IsActiveResponse.FromString,
        )
        return open_(asked)


def keda(pod: Pod) -> grpc.aio.Channel:
    """Return a connection of KEDA's to a pod."""
    return grpc.aio.insecure_channel(f"127.0.0.1:{pod.scaler}")


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Return how a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


def test_keda_is_told_how_many_replicas() -> None:
    """One metric, of which each replica is one; its value is what was decided."""

    async def story() -> None:
        engine = Told(page())
        async with telling(engine), pods(1, served_by(engine)) as (pod,), keda(pod) as channel:
            pod.envoy.active = {"team.chat": 6}
            await eventually(lambda: pod.replicas == 3)
            client = Keda(channel)
            (spec,) = (await client.call("GetMetricSpec")(reference())).metricSpecs
            assert (spec.metricName, spec.targetSizeFloat) == ("replicas", 1)
            asked = GetMetricsRequest(scaledObjectRef=reference(), metricName=spec.metricName)
            (value,) = (await client.call("GetMetrics")(asked)).metricValues
            assert (value.metricName, value.metricValueFloat, value.metricValue) == (
                "replicas",
                3,
                3,
            )
            assert (await client.call("IsActive")(reference())).result

    asyncio.run(story())


def test_all_pods_know_how_often_keda_has_asked() -> None:
    """KEDA asks one of the pods, and the operator may read the decisions of another."""

    async def story() -> None:
        async with pods(2) as (pod, other), keda(pod) as channel:

            def counts() -> list[int]:
                books = (one.demand.book.document()["models"] for one in (pod, other))
                return [book.get("team/chat", {}).get("questions", -1) for book in books]

            await eventually(lambda: counts() == [0, 0])
            for _ in range(3):
                await Keda(channel).call("IsActive")(reference())
            await eventually(lambda: counts() == [3, 3])
            for one in (pod, other):
                one.knows()
            assert not pod.demand.book.questions

    asyncio.run(story())


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        (reference(""), grpc.StatusCode.INVALID_ARGUMENT, "write `model: NAMESPACE/NAME`"),
        (reference("chat"), grpc.StatusCode.INVALID_ARGUMENT, "NAMESPACE/NAME"),
        (reference("/"), grpc.StatusCode.INVALID_ARGUMENT, "NAMESPACE/NAME"),
        (reference("team/" + "x" * 600), grpc.StatusCode.INVALID_ARGUMENT, "NAMESPACE/NAME"),
        (reference("team/gone"), grpc.StatusCode.NOT_FOUND, "team/gone does not exist"),
        (reference("team/chat", "evil"), grpc.StatusCode.PERMISSION_DENIED, "another namespace"),
    ],
)
def test_who_asks_wrongly_is_told_why(
    asked: ScaledObjectRef, code: grpc.StatusCode, words: str
) -> None:
    """No answer is made up: KEDA keeps what there is when a call is refused."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            client = Keda(channel)
            for call in (client.call("IsActive")(asked), client.call("GetMetricSpec")(asked)):
                got, said = await refusal(call)
                assert got == code
                assert words in said
            got, _ = await refusal(client.stream(asked).read())
            assert got == code

    asyncio.run(story())


def test_there_is_one_metric() -> None:
    """A question about another is refused."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            asked = GetMetricsRequest(scaledObjectRef=reference(), metricName="lag")
            code, words = await refusal(Keda(channel).call("GetMetrics")(asked))
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert "replicas" in words

    asyncio.run(story())


def test_nothing_is_told_before_something_is_known() -> None:
    """A pod that has just started, or that has not decided for long, refuses to answer."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            pod.demand.models = ()  # nothing is decided any more
            pod.demand.book.entries.clear()
            call = Keda(channel).call("IsActive")
            assert (await refusal(call(reference())))[0] == grpc.StatusCode.UNAVAILABLE
            pod.demand.book.scaled = None
            assert (await refusal(call(reference())))[0] == grpc.StatusCode.UNAVAILABLE

    asyncio.run(story())


def test_what_goes_to_zero_goes_to_one_before() -> None:
    """KEDA is kept from zero until no more than one replica is asked for."""

    async def story() -> None:
        engine = Told(page())
        async with telling(engine), pods(1, served_by(engine, asked=2)) as (pod,):
            await eventually(lambda: pod.replicas == 0)
            channel = keda(pod)
            stream = Keda(channel).stream(reference())
            assert (await stream.read()).result
            asked = GetMetricsRequest(scaledObjectRef=reference(), metricName="replicas")
            (value,) = (await Keda(channel).call("GetMetrics")(asked)).metricValues
            assert value.metricValueFloat == 0
            pod.knows(served_by(engine, asked=1))
            assert not (await stream.read()).result
            await channel.close()

    asyncio.run(story())


def test_a_held_request_is_pushed_at_once() -> None:
    """KEDA hears within one breath that a model is needed, whichever pod holds the request."""

    async def story() -> None:
        async with pods(2) as (one, two), keda(one) as channel:
            await eventually(lambda: one.decided and not one.decided.active)
            await eventually(lambda: one.demand.peers.told)
            stream = Keda(channel).stream(reference())
            assert not (await stream.read()).result
            for holder in (two, one):
                started = time.monotonic()
                holder.hold(chat=1)
                assert (await stream.read()).result
                assert time.monotonic() - started < 5
                holder.hold()
                assert not (await asyncio.wait_for(stream.read(), 20)).result

    asyncio.run(story())


def test_a_stream_ends_with_its_model() -> None:
    """Whoever waits for news of a model that goes away is told so, and nothing is left of it."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            stream = Keda(channel).stream(reference())
            await stream.read()
            pod.knows()
            code, _ = await refusal(stream.read())
            assert code == grpc.StatusCode.NOT_FOUND
            await eventually(lambda: not pod.demand.book.waiting)

    asyncio.run(story())


def test_thousands_of_streams_are_borne() -> None:
    """All hear the news, and those that are given up leave nothing behind."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            client = Keda(channel)
            streams = [client.stream(reference()) for _ in range(2000)]
            first = await asyncio.gather(*(stream.read() for stream in streams))
            assert not any(told.result for told in first)
            pod.hold(chat=1)
            second = await asyncio.gather(*(stream.read() for stream in streams))
            assert all(told.result for told in second)
            for stream in streams:
                stream.cancel()
            await eventually(lambda: not pod.demand.book.waiting)
            assert (await client.call("IsActive")(reference())).result

    asyncio.run(story())


def test_a_large_question_is_refused() -> None:
    """A question of megabytes is not read."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            asked = ScaledObjectRef(namespace="team", scalerMetadata={"model": "x" * 2**20})
            code, _ = await refusal(Keda(channel).call("IsActive")(asked))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED

    asyncio.run(story())


def test_models_that_do_not_scale_are_none_of_kedas_business() -> None:
    """Who has a fixed number of replicas is not told of."""

    async def story() -> None:
        async with pods() as (pod,), keda(pod) as channel:
            await eventually(lambda: pod.decided)
            pod.knows()
            code, words = await refusal(Keda(channel).call("IsActive")(reference()))
            assert code == grpc.StatusCode.NOT_FOUND
            assert CHAT.name in words

    asyncio.run(story())


def test_the_stubs_are_those_of_the_protocol(tmp_path: Path) -> None:
    """What is generated from the protocol is what stands in the source."""
    source = Path(externalscaler_pb2.__file__)
    root, package = source.parents[3], source.parent
    proto = package / "externalscaler.proto"
    out = (f"--python_out={tmp_path}", f"--pyi_out={tmp_path}")
    assert protoc.main(["protoc", f"-I{root}", *out, str(proto)]) == 0
    for made in tmp_path.rglob("externalscaler_pb2.*"):
        assert made.read_text() == (package / made.name).read_text()
    assert len(list(tmp_path.rglob("externalscaler_pb2.*"))) == 2
