"""One row of the directory: a version of a function, its limits, and the pool of its instances."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from supervisor.front.functions.deployed_limits import limits_in_force
from supervisor.front.functions.space_values import EncodedValues
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome import cors
from supervisor.front.pool import recycling
from supervisor.front.pool.cell.init_frame import init_frame
from supervisor.front.pool.cell.instance_identity import InstanceIdentity
from supervisor.front.pool.instance import Instance
from supervisor.front.pool.lease_request import lease_request
from supervisor.front.pool.pool import Pool
from supervisor.front.warden_link import WardenLink
from supervisor.function_limits import MIB, Limits
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Deployment


class FunctionEntry:
    """What a front knows of a version that is called."""

    def __init__(
        self,
        deployment: Deployment,
        imports: tuple[str, ...],
        limits: Limits,
        pool: Pool,
        allowance: recycling.Allowance,
        is_named: bool = True,
    ) -> None:
        """``is_named``: it is the active version, or one that an alias names."""
        self.deployment = deployment
        self.imports = imports
        self.limits = limits
        self.pool = pool
        self.allowance = allowance
        self.is_named = is_named
        self.cors = cors.of_option(limits.cors)
        self.request_max_bytes = limits.max_request * MIB

    @property
    def version(self) -> int:
        """The number of the version."""
        return self.deployment.version

    @property
    def waiting(self) -> int:
        """How many calls wait for an instance."""
        return self.pool.waiting

    @property
    def instances(self) -> Collection[Instance]:
        """The instances that are leased."""
        return self.pool.instances


def entry_of(
    deployment: Deployment,
    imports: tuple[str, ...],
    runtime: str,
    *,
    settings: FrontSettings,
    warden: WardenLink,
    values_of: Callable[[str, str], Awaitable[EncodedValues]],
    recorder: Recorder | None,
    is_named: bool,
) -> FunctionEntry:
    """The entry of a version that was read from the store, with a pool that is still empty.

    ``imports`` are the modules that its bundle imports; ``recorder`` keeps its log, if there is one.
    """
    limits = limits_in_force(deployment.options, settings)
    if not is_named:  # it is called by its number, now and then
        limits = replace(limits, min_instances=0)
    identity = InstanceIdentity(
        deployment.space,
        deployment.name,
        deployment.version,
        limits.log_bytes,
        limits.log_lines,
        limits.max_response * MIB,
        settings.function_logs,
        settings.grace_seconds,
        recorder,
        limits.memory,
    )

    def encode_init(values: EncodedValues) -> bytes:
        return init_frame(
            "serve",
            identity.whose,
            concurrency=limits.concurrency or 0,
            response_max_bytes=identity.response_max_bytes,
            env=deployment.env,
            secrets=values.secrets,
            variables=values.variables,
            text_content_type=settings.text_content_type,
        )

    pool = Pool(
        identity,
        limits,
        lease_request(*identity.whose, deployment.digest, runtime, limits, imports),
        warden,
        lambda: values_of(deployment.space, deployment.name),
        encode_init,
        queue_seconds=settings.queue_seconds,
        queue_depth=settings.queue_depth,
        init_seconds=settings.init_seconds,
    )
    allowance = recycling.Allowance(settings.recycle_calls, settings.recycle_seconds)
    return FunctionEntry(deployment, imports, limits, pool, allowance, is_named)
