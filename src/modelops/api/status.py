"""The status that objects report, as types for the CRD and its readers."""

from typing import Annotated, Literal

from pydantic import Field

from modelops.api.base import ApiModel


class StatusCondition(ApiModel):
    """One condition, as the Kubernetes API conventions define it."""

    type: str = Field(
        description="Ready, Accepted, WeightsReady, Available, Reconciling, Stalled, "
        "ScalingActive, Attached, Built, GatePassed."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="A stable word for the cause, for programs.")
    message: str = Field(description="One sentence: the state, its cause and what to do next.")
    observed_generation: int = Field(description="The generation of the spec that was judged.")
    last_transition_time: str = Field(
        description="When `status` last changed.", json_schema_extra={"format": "date-time"}
    )


class WeightsStatus(ApiModel):
    """What is known of the weights."""

    digest: str | None = Field(None, description="Content address of the weights being served.")
    revision: str | None = Field(None, description="The source's revision they came from.")
    done_bytes: int | None = Field(None, description="Bytes fetched so far.")
    total_bytes: int | None = Field(None, description="Bytes to fetch in all.")
    percent: int | None = Field(None, description="Share of the bytes fetched so far.")


class LastScale(ApiModel):
    """The last change of the number of replicas."""

    replicas_before: int = Field(description="How many there were to be before.")
    replicas: int = Field(description="How many there are to be since.")
    metric: str = Field(
        description="What caused it: a target's name, or held, idle, schedule, minimum, maximum, "
        "asked, off, rollout, preemption, created."
    )
    message: str = Field(description="One sentence: what was measured, or who asked.")
    time: str = Field(description="When it was.", json_schema_extra={"format": "date-time"})


class Status(ApiModel):
    """What the operator saw of an object of any kind when it last looked."""

    observed_generation: int = Field(
        -1, description="The generation of the spec this status speaks of; -1 before any."
    )
    conditions: Annotated[list[StatusCondition], Field(max_length=32)] = Field(
        default_factory=list,
        description="Ready sums up; the others tell which step is done.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )


class ServingStatus(Status):
    """What the operator saw of a model when it last looked."""

    url: str | None = Field(None, description="Base URL of the endpoint inside the cluster.")
    runtime: str | None = Field(None, description="The runtime that was chosen.")
    model: str | None = Field(None, description="The name that clients send as `model`.")
    replicas: int | None = Field(None, description="Replicas that exist.")
    ready_replicas: int | None = Field(None, description="Replicas that answer requests.")
    selector: str | None = Field(None, description="Label selector of the replicas.")
    last_scale: LastScale | None = Field(
        None, description="The last change of the number of replicas, and what caused it."
    )
    weights: WeightsStatus | None = Field(None, description="What is known of the weights.")
