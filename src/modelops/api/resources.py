"""What a pod needs of a node."""

from pydantic import Field

from modelops.api.base import ApiModel, Name, Quantity


class Accelerator(ApiModel):
    """The accelerators of one replica."""

    resource_name: Name | None = Field(
        None,
        description="The extended resource that a device plugin offers, such as nvidia.com/gpu. "
        "Defaults to the platform's.",
    )
    count: int = Field(
        1, ge=0, le=64, description="How many of them a replica takes. 0 serves on CPU."
    )
    product: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="Only nodes with this value of the label nvidia.com/gpu.product.",
    )


class Resources(ApiModel):
    """What one replica needs of a node."""

    cpu: Quantity | None = Field(
        None, description="CPU request, such as 500m or 4. Defaults to the runtime's own."
    )
    memory: Quantity | None = Field(
        None,
        description="Memory request and limit, such as 16Gi. Defaults to a request without limit.",
    )
    accelerator: Accelerator | None = Field(
        None, description="Accelerators of a replica. Defaults to what the platform's chart says."
    )
