"""How many replicas a model has, as its spec says it: bounds, targets, pace, schedules."""

from typing import Annotated, Final, Literal

from pydantic import Field

from modelops.api.base import ApiModel, Name, SecretKeyReference, rule, rules

MOST_REPLICAS: Final = 1000
_CRON_FIELD: Final = r"[0-9A-Za-z*/,-]+"
CRON_PATTERN: Final = rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$"
_CRON_HELP: Final = "as five cron fields: minute, hour, day of month, month, day of week"

Count = Annotated[int, Field(ge=0, le=MOST_REPLICAS)]


class Targets(ApiModel):
    """What one replica shall bear; the number of replicas follows whichever asks for most."""

    queue_depth: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Requests that wait for each replica: in the engine's queue, or held at the "
        "gateway because no replica is there yet. Of models that do jobs: jobs that wait.",
    )
    queue_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        description="Seconds of work that each replica has, of jobs that wait and that run, as "
        "the queue estimates it. Only for models that do jobs.",
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Requests that each replica works on at once. Of models that do jobs: jobs "
        "that wait or run.",
    )
    kv_cache_percent: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Share of its key-value cache that a replica has in use.",
    )
    time_to_first_token_milliseconds: int | None = Field(
        None,
        ge=1,
        le=3_600_000,
        description="How long nine of ten requests wait for the first token at most.",
    )


class Pace(ApiModel):
    """How fast the number of replicas changes in one direction."""

    stabilization_window_seconds: int | None = Field(
        None,
        ge=0,
        le=3600,
        description="The need must have lasted for so long before it is followed. Defaults to 0 "
        "for more replicas and to 120 for fewer.",
    )
    max_replicas_per_minute: int | None = Field(
        None,
        ge=1,
        le=MOST_REPLICAS,
        description="Most replicas that are added, or taken away, within a minute. Defaults to "
        "no limit.",
    )


class Behavior(ApiModel):
    """How fast the number of replicas follows the need."""

    scale_up: Pace = Field(default_factory=Pace, description="For more replicas.")
    scale_down: Pace = Field(default_factory=Pace, description="For fewer replicas.")


class Schedule(ApiModel):
    """A time that comes again, in which more replicas are kept."""

    name: str = Field(
        min_length=1, max_length=63, description="A name for it, unique in this model."
    )
    start: str = Field(
        max_length=255,
        pattern=CRON_PATTERN,
        description=f"When it begins, {_CRON_HELP}.",
        examples=["0 8 * * mon-fri"],
    )
    end: str = Field(
        max_length=255,
        pattern=CRON_PATTERN,
        description=f"When it ends, {_CRON_HELP}.",
        examples=["0 18 * * mon-fri"],
    )
    time_zone: str = Field(
        "UTC",
        min_length=1,
        max_length=64,
        pattern="^[A-Za-z0-9_+/-]+$",
        description="The time zone of both, by its name in the IANA database.",
        examples=["Europe/Vienna"],
    )
    min_replicas: Count = Field(description="Fewest replicas in that time.")


class PrometheusTrigger(ApiModel):
    """A query whose value asks for replicas."""

    server_address: str = Field(
        max_length=1024,
        pattern=r"^https?://[^/\s]+",
        description="URL of the Prometheus server, as KEDA reaches it.",
    )
    query: str = Field(
        min_length=1, max_length=4096, description="A PromQL query that yields one number."
    )
    threshold: int = Field(
        ge=1, description="The part of the query's value that one replica can bear."
    )
    secret_ref: SecretKeyReference | None = Field(
        None, description="A bearer token for the server, in a Secret."
    )


class RedisStreamsTrigger(ApiModel):
    """A Redis stream whose entries ask for replicas: those that wait, or those that are taken."""

    model_config = rules(
        rule(
            "has(self.lag) != has(self.pending)",
            "a trigger looks at what waits or at what is taken: give either lag or pending, and "
            "a second trigger for the other",
        ),
    )

    address: str = Field(
        max_length=1024, pattern=r"^[^\s:/]+:[0-9]+$", description="HOST:PORT of the Redis server."
    )
    stream: Name = Field(description="Name of the stream.")
    consumer_group: Name = Field(description="The consumer group that counts.")
    lag: int | None = Field(None, ge=1, description="Entries that wait for each replica.")
    pending: int | None = Field(
        None, ge=1, description="Entries that each replica has taken and not acknowledged."
    )
    database: int = Field(0, ge=0, le=1000, description="Number of the database.")
    secret_ref: SecretKeyReference | None = Field(
        None, description="The server's password, in a Secret."
    )


class Trigger(ApiModel):
    """A further cause of scaling; exactly one of its fields is given."""

    model_config = rules(
        rule(
            "has(self.prometheus) != has(self.redisStreams)",
            "a trigger is of one type: give either prometheus or redisStreams",
        ),
    )

    prometheus: PrometheusTrigger | None = Field(
        None, description="A query whose value asks for replicas."
    )
    redis_streams: RedisStreamsTrigger | None = Field(
        None, description="A Redis stream whose entries ask for replicas."
    )


class Scaling(ApiModel):
    """How many replicas serve, and what decides that between the bounds."""

    model_config = rules(
        rule(
            "!has(self.maxReplicas) || self.maxReplicas == 0 "
            "|| self.minReplicas <= self.maxReplicas",
            "minReplicas is more than maxReplicas: raise maxReplicas or lower minReplicas",
        ),
        rule(
            "!has(self.maxReplicas) || self.maxReplicas == 0 || !has(self.schedules) "
            "|| self.schedules.all(s, s.minReplicas <= self.maxReplicas)",
            "a schedule keeps more than maxReplicas: raise maxReplicas or lower the schedule's "
            "minReplicas",
        ),
    )

    min_replicas: Count = Field(
        1,
        description="Fewest replicas. With 0 the model goes to zero when nobody has used it for "
        "idleAfterSeconds, takes no node then, and wakes when a request comes.",
    )
    max_replicas: Count | None = Field(
        None,
        description="Most replicas. Defaults to minReplicas or, if that is 0, to 1: what a "
        "schedule keeps raises it. 0 turns the model off.",
    )
    replicas: Count | None = Field(
        None,
        description="How many replicas are asked for now, which counts within the bounds. "
        "Autoscalers and `kubectl scale` write it through the subresource `scale`: leave it out "
        "of what you apply.",
    )
    state: Literal["Active", "Paused"] = Field(
        "Active",
        description="Paused keeps the number of replicas that there is, whatever is asked for.",
    )
    targets: Targets = Field(
        default_factory=Targets,
        description="What one replica shall bear. Without any, what the engine can work on at "
        "once decides.",
    )
    idle_after_seconds: int = Field(
        300,
        ge=1,
        le=86400,
        description="How long nothing must have been asked of the model before it goes to zero.",
    )
    behavior: Behavior = Field(
        default_factory=Behavior,
        description="How fast the number of replicas follows the need.",
    )
    schedules: Annotated[list[Schedule], Field(max_length=16)] = Field(
        default_factory=list,
        description="Times in which more replicas are kept.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    triggers: Annotated[list[Trigger], Field(max_length=8)] = Field(
        default_factory=list,
        description="Further causes of scaling. Only KEDA knows them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    priority: int = Field(
        0,
        ge=-1_000_000,
        le=1_000_000,
        description="Which model goes first where accelerators are few: the higher one.",
    )
    preemption: Literal["Never", "IdleLowerPriority"] = Field(
        "Never",
        description="IdleLowerPriority lets this model, when no node has room for it, send a "
        "model of lower priority that may go to zero and has no request there at once.",
    )

    @property
    def maximum(self) -> int:
        """Most replicas: as given, or what the other fields ask for."""
        if self.max_replicas is not None:
            return self.max_replicas
        return max(1, self.min_replicas, *(s.min_replicas for s in self.schedules))

    @property
    def minimum(self) -> int:
        """Fewest replicas outside all schedules."""
        return min(self.min_replicas, self.maximum)

    @property
    def automatic(self) -> bool:
        """Whether the bounds leave anything to decide."""
        return self.minimum < self.maximum
