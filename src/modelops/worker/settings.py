"""What a worker takes from its environment; each field is a variable of that name."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelops.jobs.queue import Terms
from modelops.jobs.store import Bucket
from modelops.setting import Names, Port


class Settings(BaseSettings):
    """A worker's settings. AWS_ACCESS_KEY_ID and its like are read by the S3 client itself."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    model: str = Field(pattern=r"^[a-z0-9.-]+/[a-z0-9.-]+$", description="NAMESPACE/NAME.")
    redis_url: str = Field(min_length=1, description="Where the queue is.")
    redis_folder: str = Field("", description="Where its password and certificates are mounted.")
    s3_endpoint: str = Field("", description="Where S3's API is; empty: Amazon's.")
    s3_bucket: str = Field(min_length=1, description="Where results are put.")
    public_url: str = Field("", description="Where all can read the bucket; empty: nowhere.")
    engine_url: str = Field("http://127.0.0.1:8000", description="Where the engine answers.")
    scratch: str = Field("/scratch", description="The folder that the engine sees as well.")
    consumer: str = Field("", description="This worker's name; empty: the host's.")
    concurrency: int = Field(1, ge=1, description="Jobs that the engine is given at a time.")
    grace_seconds: float = Field(
        20, ge=0, description="How long jobs may go on after SIGTERM; then they are given back."
    )
    silent_seconds: float = Field(600, gt=0, description="So long an engine may say nothing.")
    lease_seconds: float = Field(15, gt=0, description="So long this worker may say nothing.")
    retries: int = Field(3, ge=1, description="How often a job may fail.")
    retry_pause_seconds: float = Field(1, ge=0, description="What the first retry waits.")
    kept_seconds: float = Field(86_400, gt=0, description="How long ended jobs are remembered.")
    largest_input: int = Field(33_554_432, ge=1, description="Largest file of a caller; bytes.")
    most_pixels: int = Field(40_000_000, ge=1, description="Largest picture of a caller.")
    allowed_networks: Names = Field(
        (), description="Networks that inputs may be fetched from though they are not public."
    )
    metrics_port: Port = 9910
    bind_address: str = "0.0.0.0"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def terms(self) -> Terms:
        """What holds for jobs."""
        return Terms(
            lease=self.lease_seconds,
            failures=self.retries,
            pause=self.retry_pause_seconds,
            kept=self.kept_seconds,
        )

    @property
    def bucket(self) -> Bucket:
        """Where files are."""
        return Bucket(self.s3_bucket, self.s3_endpoint, self.public_url)
