"""Export a manifest, and make the database match one."""

from collections.abc import Callable

from gateway.auth import keys
from gateway.errors import InvalidInput
from gateway.models import COMMAND_LINE, Actor
from gateway.provisioning.manifest.deletions import Deletions
from gateway.provisioning.manifest.plan import Comparison, Plan, check_owners
from gateway.provisioning.manifest.schema import Manifest, manifest_of
from gateway.provisioning.manifest.upserts import Upserts
from gateway.store import Store
from gateway.store.bulk import Snapshot
from gateway.store.changes import Changes
from gateway.store.progress import Progress, ignore_progress
from gateway.times import Clock, format_time


class Manifests:
    """What export and apply do."""

    def __init__(
        self, store: Store, clock: Clock, choice: Callable[[str], str], *, require_url: Callable[[str], None]
    ) -> None:
        """`choice` picks a random character; `require_url` raises InvalidInput for a URL that no webhook may have."""
        self._bulk = store.bulk
        self._clock = clock
        self._choice = choice
        self._require_url = require_url

    async def export(self) -> Manifest:
        """Return the manifest of what the database has now. Raises StorageUnavailable."""
        return manifest_of(await self._bulk.snapshot())

    async def plan(self, file: Manifest, *, prune: bool, by: Actor = COMMAND_LINE) -> Plan:
        """Return what `apply` would do now. Raises InvalidInput, StorageUnavailable."""
        return self._plan(file, await self._bulk.snapshot(), prune=prune, by=by)

    async def apply(
        self,
        file: Manifest,
        agreed: Plan,
        *,
        prune: bool,
        by: Actor = COMMAND_LINE,
        progress: Progress = ignore_progress,
    ) -> None:
        """Make the changes of the `agreed` plan, all or none.

        Raises InvalidInput, also when the plan would be another by now; Duplicate, StorageUnavailable.
        """

        async def work(here: Snapshot, changes: Changes) -> None:
            plan = self._plan(file, here, prune=prune, by=by)
            if [change.line for change in plan.changes] != [change.line for change in agreed.changes]:
                raise InvalidInput("the database was changed meanwhile; nothing was done: look again")
            for prepare in plan.preparations:
                await prepare(changes)
            for number, change in enumerate(plan.changes, start=1):
                await change.make(changes)
                progress("Applying", number, len(plan.changes))

        await self._bulk.change(work)

    def _plan(self, file: Manifest, here: Snapshot, *, prune: bool, by: Actor) -> Plan:
        """Plan deletions first: what a deleted connection was mapped to may be mapped anew."""
        comparison = Comparison(file, here, by=by, now=format_time(self._clock.now()))
        check_owners(comparison)
        Deletions(comparison, prune=prune).plan()
        Upserts(comparison, lambda: keys.mint_id("user", self._choice), self._require_url).plan()
        return comparison.plan
