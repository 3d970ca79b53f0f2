"""The parts of a spec that every serving kind shares."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from modelops.api.base import ApiModel, Name, Quantity, rule, rules
from modelops.api.building import Quantization
from modelops.api.naming import SERVED_NAME, SERVED_NAME_HELP
from modelops.api.resources import Resources
from modelops.api.scaling import Scaling
from modelops.api.source import Credentials, Endpoint, source_rules

Free = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
"""An object whose fields another API defines."""

SESSION_HEADER: Final = "x-session-id"
"""The header that names a session, unless a model names another one."""


class Model(ApiModel):
    """Where the weights come from and what they are called."""

    model_config = rules(
        *source_rules("spec.model"),
        rule(
            f"!has(self.name) || self.name.matches('{SERVED_NAME}')",
            f"name is {SERVED_NAME_HELP}",
        ),
    )

    uri: str = Field(
        min_length=1,
        max_length=1024,
        description="Where the weights are: hf://OWNER/NAME[@REVISION] on the Hugging Face hub, "
        "s3://BUCKET/PREFIX in an S3 store, or pvc://CLAIM/PATH on a PersistentVolumeClaim of "
        "the same namespace.",
        examples=["hf://Qwen/Qwen3-8B"],
    )
    revision: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Branch, tag or commit of an hf:// source. A branch is resolved once and then "
        "kept, so that all replicas serve the same weights.",
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The name that clients send as `model`. Defaults to the object's own name.",
    )
    endpoint: Endpoint = None
    secret_ref: Credentials = None
    formats: Literal["SafetensorsOnly", "AllowPickle"] = Field(
        "SafetensorsOnly",
        description="Which weight files may be loaded. Pickle files can run code when they are "
        "loaded: AllowPickle only for sources that you trust.",
    )
    remote_code: Literal["Deny", "Allow"] = Field(
        "Deny",
        description="Whether Python files that come with the weights may run in the engine.",
    )


class EnvVar(ApiModel):
    """One environment variable of the engine."""

    name: str = Field(min_length=1, max_length=255, description="Name of the variable.")
    value: str = Field("", max_length=32768, description="Its value.")


class RuntimeChoice(ApiModel):
    """The engine that serves the model."""

    name: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="Name of the runtime, as `modelops runtimes` lists them. Defaults to the "
        "first one that serves this kind.",
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="Image of the engine instead of the platform's own; best by digest.",
    )
    args: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=256)] = Field(
        default_factory=list,
        description="Further command line arguments of the engine, each as `--flag=value`.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    env: Annotated[list[EnvVar], Field(max_length=256)] = Field(
        default_factory=list,
        description="Further environment of the engine.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )


class Cache(ApiModel):
    """Where fetched weights are kept; pvc:// weights are served in place and need none."""

    model_config = rules(
        rule(
            "!has(self.claimName) || (!has(self.size) && !has(self.storageClassName))",
            "claimName names a claim that exists: remove spec.cache.size and storageClassName",
        ),
        rule(
            "self.medium != 'EmptyDir' || (!has(self.claimName) && !has(self.storageClassName))",
            "an EmptyDir cache has no claim: remove claimName and storageClassName, or write "
            "medium: PersistentVolumeClaim",
        ),
    )

    medium: Literal["PersistentVolumeClaim", "EmptyDir"] = Field(
        "PersistentVolumeClaim",
        description="PersistentVolumeClaim keeps the weights over restarts and shares them among "
        "replicas; EmptyDir fetches them again for each pod.",
    )
    claim_name: Name | None = Field(
        None,
        description="A claim of the same namespace to keep weights in. Several models may share "
        "it: equal weights are stored once. Without it the model gets a claim of its own.",
    )
    size: Quantity | None = Field(
        None, description="Size of the model's own claim. Defaults to what the chart says."
    )
    storage_class_name: Name | None = Field(
        None, description="Storage class of the model's own claim. Defaults to the cluster's."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        "ReadWriteOnce",
        description="ReadWriteMany lets replicas on several nodes share one claim.",
    )


class Rollout(ApiModel):
    """How a new version takes over from the old one."""

    model_config = rules(
        rule(
            "self.strategy == 'RollingUpdate' || !has(self.maxSurge)",
            "with Recreate nothing starts beside the old version: remove spec.rollout.maxSurge",
        ),
    )

    strategy: Literal["RollingUpdate", "Recreate"] = Field(
        "RollingUpdate",
        description="RollingUpdate starts the new version beside the old one, which serves until "
        "the new one is ready. Recreate stops the old version first, and nothing serves in "
        "between: for a cluster whose accelerators have no room for both.",
    )
    max_surge: int | None = Field(
        None,
        ge=1,
        le=100,
        description="How many replicas of the new version start beside the old ones; 1 unless "
        "given. The old version gives way only to replicas that are ready, so that no request is "
        "lost.",
    )
    drain_seconds: int = Field(
        60,
        ge=1,
        le=3600,
        description="How long a replica that goes away may take to finish its open requests.",
    )
    progress_deadline_seconds: int = Field(
        1800,
        ge=30,
        le=86400,
        description="How long a new version may take to become ready before it counts as failed. "
        "With RollingUpdate the previous version goes on serving.",
    )


class Routing(ApiModel):
    """How the gateway chooses among a model's replicas."""

    model_config = rules(
        rule(
            "self.policy == 'PrefixAware' || !has(self.sessionHeader)",
            "only PrefixAware knows sessions: remove spec.routing.sessionHeader, or write "
            "policy: PrefixAware",
        ),
    )

    policy: Literal["LeastRequests", "PrefixAware"] = Field(
        "LeastRequests",
        description="LeastRequests takes the replica with the fewest requests in flight. "
        "PrefixAware takes the same one for requests of one session, or else with the same "
        "beginning of the prompt, so that the engine's prefix cache is used; a replica that has "
        "far more in flight than the others passes requests on to them.",
    )
    session_header: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern="^[A-Za-z0-9-]+$",
        description="The request header that names a session. Defaults to x-session-id. Without "
        "it the body's `prompt_cache_key` counts, and then the prompt.",
    )


class PodTemplate(ApiModel):
    """A partial PodTemplateSpec that is merged into the pods."""

    metadata: Free | None = Field(None, description="Further labels and annotations of the pods.")
    spec: Free | None = Field(None, description="Any part of a PodSpec.")

    def patch(self) -> dict[str, Any]:
        """Return the partial pod template as a manifest."""
        given = {"metadata": self.metadata, "spec": self.spec}
        return {name: value for name, value in given.items() if value}


class ServingSpec(ApiModel):
    """What every serving kind's spec has."""

    model_config = rules(
        rule(
            "!self.model.uri.startsWith('pvc://') || !has(self.cache.claimName) "
            "&& !has(self.cache.size) && !has(self.cache.storageClassName)",
            "pvc:// weights are served in place: remove spec.cache",
        ),
    )

    model: Model = Field(description="Where the weights come from and what they are called.")
    runtime: RuntimeChoice = Field(
        default_factory=RuntimeChoice, description="The engine that serves the model."
    )
    quantization: Quantization | None = Field(
        None,
        description="Makes the weights smaller before they are served: a ModelBuild does it on the "
        "cluster, and what serves now goes on until its artifact is there and its gate holds.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="What one replica needs of a node."
    )
    cache: Cache = Field(
        default_factory=Cache, description="Where fetched weights are kept between restarts."
    )
    scaling: Scaling = Field(default_factory=Scaling, description="How many replicas serve.")
    rollout: Rollout = Field(
        default_factory=Rollout, description="How a new version takes over from the old one."
    )
    routing: Routing = Field(
        default_factory=Routing,
        description="How the gateway chooses among the model's replicas.",
    )
    pod_template: PodTemplate | None = Field(
        None,
        description="A partial PodTemplateSpec that is merged into the pods, for what this API "
        "does not name: node selectors, tolerations, sidecars, volumes. Lists of named items "
        "(containers, volumes, env) merge by name; the engine's container is `engine`.",
    )
