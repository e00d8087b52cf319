"""Ask Airbyte about the mappings that a manifest gives out: a file may name what does not exist, or has moved."""

from collections.abc import Iterable

from gateway.airbyte import Airbyte
from gateway.errors import InvalidInput, UpstreamError, UpstreamInvalid, UpstreamRefused
from gateway.provisioning.manifest.document import toml_path
from gateway.provisioning.manifest.plan import Plan
from gateway.provisioning.manifest.schema import ConnectionEntry, Manifest
from gateway.store.progress import Progress, ignore_progress


async def check_mappings(
    airbyte: Airbyte, file: Manifest, plan: Plan, *, progress: Progress = ignore_progress
) -> list[str]:
    """Look at each Airbyte connection that the plan maps, a call each, and return what could not be checked.

    Raises InvalidInput if Airbyte does not know one, or has it in another workspace than the file says.
    """
    unchecked: list[str] = []
    left = list(plan.mapped)
    while left:
        name = left.pop(0)
        progress("Asking Airbyte", len(plan.mapped) - len(left), len(plan.mapped))
        try:
            await _check(airbyte, name, file.connections[name])
        except UpstreamInvalid as error:  # it is this connection's answer that cannot be used; the others' may
            unchecked.append(_unchecked([name], error))
        except UpstreamError as error:
            return [*unchecked, _unchecked([name, *left], error)]
    return unchecked


async def _check(airbyte: Airbyte, name: str, entry: ConnectionEntry) -> None:
    if entry.airbyte_id is None:
        return
    where = toml_path("connections", name)
    try:
        record = await airbyte.connection(entry.airbyte_id)
    except UpstreamRefused as refusal:
        raise InvalidInput(
            f"{where}.airbyte_id: Airbyte has no connection {entry.airbyte_id} ({refusal.detail})"
        ) from refusal
    if entry.workspace_id not in {None, record.workspace_id}:
        raise InvalidInput(f"{where}.workspace_id: Airbyte has this connection in workspace {record.workspace_id}")


def _unchecked(names: Iterable[str], error: UpstreamError) -> str:
    return f"Airbyte could not be asked ({error.message}: {error.detail}); mapped unchecked: {', '.join(names)}"
