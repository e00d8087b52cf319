"""The gateway beside a model of plain records, through random lives of clients, keys, connections and syncs.

MODEL_STEPS sets how many steps are taken. Without it they are the same each time; with it they are new ones.
"""

import asyncio
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway import single_flight
from gateway.errors import Duplicate, InvalidInput, OperatorError, UnknownRecord
from gateway.models import JOB_STATUSES, Scope
from gateway.sandbox.records import ConnectionStatus
from gateway.sandbox.timeline import Outcome
from tests.faults.model import LIVES, Bucket, Job, Key, Ours, Owner, Theirs, moment
from tests.support import BOUND_SECONDS, NEVER_MAPPED, NEVER_OURS, World, bearer, running_gateway

STEPS_OF_A_LIFE = 60
STEPS = os.environ.get("MODEL_STEPS")
HOUR = 3600
LENGTHS = {"0s": 0, "90s": 90, "1h": HOUR}
RATES = {None: (100, 60), "3/7": (3, 7), "1000000/1": (1_000_000, 1)}
TOTALS = {"5/9": (5, 9), "8/60": (8, 60)}
Value = TypeVar("Value")
Step = TypeVar("Step", bound=Callable[..., None])
Said = tuple[int, Any]


def said(answer: httpx2.Response) -> Said:
    return answer.status_code, answer.json()


def refused(status: int, message: str) -> Said:
    return status, {"error": message}


def without_its_own(answer: httpx2.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of the answer but what differs between any two."""
    headers = [pair for pair in answer.headers.multi_items() if pair[0] not in {"x-request-id", "ratelimit"}]
    return answer.status_code, headers, answer.content


async def shared_calls_end() -> None:
    """Wait for what goes on behind the callers' backs, such as a refresh: it may ask Airbyte at any moment."""
    code = single_flight._as_coroutine.__code__  # noqa: SLF001 - what each shared call runs
    while calls := {task for task in asyncio.all_tasks() if getattr(task.get_coro(), "cr_code", None) is code}:
        await asyncio.wait(calls)


def any_of(name: str) -> Any:
    """One of the machine's records: of those that live, or the last that died."""
    return st.runner().flatmap(lambda machine: st.sampled_from(machine.choices(name)))


def fewer(name: str, most: int) -> Callable[[Step], Step]:
    """Few records are met again and again, which is what tells."""
    return precondition(lambda machine: len(machine.choices(name)) < most)


class Lives(RuleBasedStateMachine):
    """Each rule does one thing to the gateway and to the model, and compares what is said with what should be."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        gateway = running_gateway(folder, airbyte={"freshness_seconds": 0})
        self.world: World = self.run(self.stack.enter_async_context(gateway))
        self.workspace = self.world.sandbox.world.add_workspace("Work").workspace_id
        self.owners: list[Owner] = []
        self.keys: list[Key] = []
        self.connections: list[Ours] = []
        self.airbytes: list[Theirs] = []
        for slug in ("watcher", "acme", "globex"):
            self.add_client(slug)
            self.create_key(self.owners[-1], "full", None, "1000000/1")
            self.airbyte_gets_a_connection("succeeds")
            self.add_connection(self.owners[-1], self.airbytes[-1])
        # Nothing else happens to the first of each: they tell when all statuses were read again.
        self.watcher, self.watched = self.keys.pop(0), self.connections.pop(0)
        del self.owners[0], self.airbytes[0]
        self.checked = 0
        for _ in range(3):
            for key, ours in zip(self.keys, self.connections, strict=True):
                self.trigger_at_once([key], ours)
            self.time_passes(30)

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        return self.runner.run(coroutine)

    @property
    def now(self) -> int:
        return int(self.world.clock.elapsed)

    def choices(self, name: str) -> list[Any]:
        records = getattr(self, name)
        dead = [record for record in records if not record.is_alive(self.now)]
        return [record for record in records if record.is_alive(self.now)] + dead[-1:]

    def agrees(self, error: type[OperatorError] | None, work: Coroutine[Any, Any, Value]) -> Value | None:
        """Do the operator's work, which must be refused with `error` if there is one."""
        if error is None:
            return self.run(work)
        with pytest.raises(error):
            self.run(work)
        return None

    # The operator.

    @rule(slug=st.sampled_from(["acme", "globex", "initech"]), total=st.none() | st.sampled_from(sorted(TOTALS)))
    def add_client(self, slug: str, total: str | None = None) -> None:
        taken = any(owner.exists and owner.slug == slug for owner in self.owners)
        clients = self.world.services.clients
        work = clients.add(slug=slug, name=slug.title(), plan="free")
        if self.agrees(Duplicate if taken else None, work):
            self.run(clients.update(slug, name=slug.title(), plan="free", rate=None, rate_total=total, most_keys=None))
            self.owners.append(Owner(slug, self.now, Bucket(*TOTALS[total], self.now) if total else None))

    @rule(owner=any_of("owners"))
    def remove_client(self, owner: Owner) -> None:
        if not owner.exists:
            return
        client = self.run(self.world.services.store.clients.by_slug(owner.slug))
        self.run(self.world.services.store.clients.remove(client.id))
        owner.exists = False
        for connection in self.connections:
            connection.theirs = connection.theirs if connection.owner.exists else None

    @fewer("keys", 7)
    @rule(
        owner=any_of("owners"),
        scope=st.sampled_from(["full", "full", "read"]),
        expires=st.sampled_from([None, "90s", "1h"]),
        rate=st.sampled_from(list(RATES)),
    )
    def create_key(self, owner: Owner, scope: Scope, expires: str | None, rate: str | None) -> None:
        if not owner.exists:
            return
        new = self.run(self.world.key(owner.slug, scope=scope, expires=expires, rate=rate))
        ends = None if expires is None else self.now + LENGTHS[expires]
        self.keys.append(Key(new, owner, scope, self.now, ends, Bucket(*RATES[rate], self.now)))

    @rule(key=any_of("keys"))
    def revoke_key(self, key: Key) -> None:
        self.agrees(None if key.owner.exists else UnknownRecord, self.world.services.keys.revoke(key.new.record.id))
        key.is_revoked = True

    @rule(key=any_of("keys"), overlap=st.sampled_from(list(LENGTHS)))
    def rotate_key(self, key: Key, overlap: str) -> None:
        refusal = InvalidInput if key.has_ended(self.now) or key.is_rotated else None
        work = self.world.services.keys.rotate(key.new.record.id, overlap=overlap)
        new = self.agrees(refusal if key.owner.exists else UnknownRecord, work)
        if new is not None:
            ends = None if key.ends is None else self.now + key.ends - key.created
            self.keys.append(Key(new, key.owner, key.scope, self.now, ends, key.bucket))
            end = self.now + LENGTHS[overlap]
            key.ends, key.is_rotated = end if key.ends is None else min(key.ends, end), True

    def is_taken(self, theirs: Theirs | None, ours: Ours | None = None) -> bool:
        return theirs is not None and any(other.theirs is theirs for other in self.connections if other is not ours)

    @fewer("connections", 6)
    @rule(owner=any_of("owners"), theirs=st.none() | any_of("airbytes"))
    def add_connection(self, owner: Owner, theirs: Theirs | None) -> None:
        if not owner.exists:
            return
        work = self.world.services.connections.add(
            owner.slug, connector_type="shopify", label="Shop", airbyte_id=theirs.id if theirs else None
        )
        added = self.agrees(Duplicate if self.is_taken(theirs) else None, work)
        if added:
            status = theirs.status if theirs else "pending"
            self.connections.append(Ours(added.connection.id, owner, self.now, status, theirs))

    @rule(ours=any_of("connections"), theirs=any_of("airbytes"))
    def map_connection(self, ours: Ours, theirs: Theirs) -> None:
        refusal = Duplicate if self.is_taken(theirs, ours) else None
        if self.agrees(
            refusal if ours.is_alive() else UnknownRecord, self.world.services.connections.map(ours.id, theirs.id)
        ):
            ours.theirs, ours.status = theirs, theirs.status

    @rule(ours=any_of("connections"))
    def map_to_what_airbyte_does_not_have(self, ours: Ours) -> None:
        self.agrees(UnknownRecord, self.world.services.connections.map(ours.id, NEVER_MAPPED))

    @rule(ours=any_of("connections"))
    def remove_connection(self, ours: Ours) -> None:
        if not ours.is_alive():
            return
        store = self.world.services.store
        client = self.run(store.clients.by_slug(ours.owner.slug))
        self.run(store.connections.remove(client.id, ours.id))
        ours.exists, ours.theirs = False, None

    # Airbyte and time.

    @fewer("airbytes", 5)
    @rule(outcome=st.sampled_from(sorted(LIVES)))
    def airbyte_gets_a_connection(self, outcome: Outcome) -> None:
        made = self.world.sandbox.world.add_connection(self.workspace, outcome=outcome)
        self.airbytes.append(Theirs(made.connection_id, outcome))

    @rule(theirs=any_of("airbytes"), status=st.sampled_from(["active", "active", "inactive", "deprecated"]))
    def airbyte_changes_a_status(self, theirs: Theirs, status: ConnectionStatus) -> None:
        self.world.sandbox.world.set_connection_status(theirs.id, status)
        theirs.status = status

    @rule(seconds=st.sampled_from([1, 2, 3, 8, 30, 90, HOUR]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        if self.now - self.checked > HOUR:
            self.statuses_are_read_again()

    def statuses_are_read_again(self) -> None:
        """At most once an hour, by the way: until the watched connection shows it."""
        theirs = self.watched.theirs
        assert theirs is not None
        self.airbyte_changes_a_status(theirs, "inactive" if theirs.status == "active" else "active")
        end = time.monotonic() + BOUND_SECONDS
        while self.run(self.send(self.watcher, "GET", "/connections")).json()["data"][0]["status"] != theirs.status:
            assert time.monotonic() < end, "the statuses were not read again"
        self.checked = self.now
        for ours in self.connections:
            ours.status = ours.theirs.status if ours.theirs else ours.status

    # Clients.

    async def send(self, key: Key, method: str, path: str) -> httpx2.Response:
        return await self.world.http.request(method, f"/api/v1{path}", headers=bearer(key.new))

    def lets_in(self, key: Key, answer: httpx2.Response) -> bool:
        """Whether the key's request got past authentication and rate limit, as it must."""
        if not key.is_alive(self.now):
            assert said(answer) == refused(401, "Unauthorized — invalid or missing API key")
            assert "ratelimit" not in answer.headers
            return False
        empty = key.take(self.now)
        told = [("default", key.bucket)]
        if empty is not None and empty is key.owner.total:
            told.append(("client", empty))
        self.tells(answer, told)
        if empty is not None:
            period = "minute" if empty.seconds == 60 else f"{empty.seconds} seconds"
            whose = "API key" if empty is key.bucket else "client"
            assert said(answer) == refused(
                429, f"Rate limit exceeded — {empty.requests} requests per {period} per {whose}"
            )
            assert answer.headers["retry-after"] == str(empty.wait)
        return empty is None

    def tells(self, answer: httpx2.Response, told: list[tuple[str, Bucket]]) -> None:
        """What is left in these buckets."""
        policy = ", ".join(f'"{name}";q={bucket.requests};w={bucket.seconds}' for name, bucket in told)
        left = re.escape(", ".join(f'"{name}";r={math.floor(bucket.tokens)};t=' for name, bucket in told))
        assert answer.headers["ratelimit-policy"] == policy
        assert re.fullmatch(left.replace("t=", r"t=\d+"), answer.headers["ratelimit"])

    def ask(self, key: Key, method: str, path: str) -> httpx2.Response | None:
        """The answer, or None when the key was refused."""
        answer = self.run(self.send(key, method, path))
        return answer if self.lets_in(key, answer) else None

    def own(self, owner: Owner) -> list[Ours]:
        return [ours for ours in self.connections if ours.belongs_to(owner)]

    @rule(key=any_of("keys"))
    def list_connections(self, key: Key) -> None:
        answer = self.ask(key, "GET", "/connections")
        if answer:
            assert said(answer) == (200, {"data": [ours.view(self.now) for ours in self.own(key.owner)]})
            assert "warning" not in answer.headers

    @rule(key=any_of("keys"))
    def revoke_itself(self, key: Key) -> None:
        """The call takes no token, and is answered when there is none too."""
        answer = self.run(self.send(key, "POST", "/keys/revoke"))
        if not key.is_alive(self.now):
            assert said(answer) == refused(401, "Unauthorized — invalid or missing API key")
        else:
            key.bucket.advance(self.now)
            self.tells(answer, [("default", key.bucket)])
            assert said(answer) == (200, {"key": {"id": key.new.record.id, "revoked_at": moment(self.now)}})
            key.is_revoked = True

    @rule(key=any_of("keys"))
    def show_status(self, key: Key) -> None:
        owner = key.owner
        views = [ours.view(self.now) for ours in self.own(owner)]
        client = {"name": owner.slug.title(), "slug": owner.slug, "plan": "free", "created_at": moment(owner.created)}
        newest = max((view["last_sync_at"] for view in views if view["last_sync_at"]), default=None)
        answer = self.ask(key, "GET", "/status")
        if answer:
            assert said(answer) == (200, {"client": client, "connections": len(views), "last_sync_at": newest})

    def refusal(self, key: Key, ours: Ours) -> Said | None:
        if not ours.belongs_to(key.owner):
            return refused(404, "Connection not found")
        return None if ours.theirs else refused(400, "Connection has no Airbyte mapping")

    @rule(
        key=any_of("keys"),
        ours=any_of("connections"),
        limit=st.sampled_from([1, 2, 20, 100]),
        status=st.none() | st.sampled_from(JOB_STATUSES),
    )
    def list_jobs(self, key: Key, ours: Ours, limit: int, status: str | None) -> None:
        path: str | None = f"/connections/{ours.id}/jobs?limit={limit}" + (f"&status={status}" if status else "")
        expected = ours.theirs.page(self.now, status) if ours.theirs else []
        refusal, shown = self.refusal(key, ours), 0
        while path is not None:
            answer = self.ask(key, "GET", path)
            if answer is None:
                return
            assert said(answer) == (refusal or (200, {"data": expected[shown : shown + limit]}))
            shown += limit
            link = answer.headers.get("link", "")
            assert bool(link) == (refusal is None and len(expected) > shown)
            path = link.removeprefix(f"<{self.world.http.base_url}/api/v1").removesuffix('>; rel="next"') or None

    # Of keys that share a bucket the first to arrive is told of more tokens, and which that is nobody can say.
    @rule(
        keys=st.lists(
            any_of("keys"),
            min_size=1,
            max_size=3,
            unique_by=(lambda key: id(key.bucket), lambda key: id(key.owner.total or key)),
        ),
        ours=any_of("connections"),
    )
    def trigger_at_once(self, keys: list[Key], ours: Ours) -> None:
        async def send_all() -> list[httpx2.Response]:
            return await asyncio.gather(*(self.send(key, "POST", f"/connections/{ours.id}/sync") for key in keys))

        for key, answer in zip(keys, self.run(send_all()), strict=True):
            if self.lets_in(key, answer):
                is_read_only = key.scope == "read"
                refusal = refused(403, "This API key is read-only") if is_read_only else self.refusal(key, ours)
                assert said(answer) == (refusal or self.triggered(ours, said(answer)))

    def triggered(self, ours: Ours, answer: Said) -> Said:
        """What a trigger that Airbyte is asked about answers: the job under way, or the new one."""
        theirs = ours.theirs
        assert theirs is not None
        job = theirs.open_job(self.now)
        if job is None and theirs.status != "active":
            ours.status = theirs.status
            return refused(400, f"Connection is not active in Airbyte (status: {theirs.status})")
        if job is None:
            (number,) = set(self.world.jobs_of(theirs.id)) - {known.number for known in theirs.jobs}
            job = Job(number, self.now, theirs.outcome)
            theirs.jobs.append(job)
        view = job.view(theirs.id, self.now)
        assert self.world.jobs_of(theirs.id) == [known.number for known in theirs.jobs]
        return 200, {"job": {name: view[name] for name in ("jobId", "connectionId", "status", "jobType")}}

    @rule(
        key=any_of("keys"),
        ours=any_of("connections"),
        call=st.sampled_from([("GET", "jobs"), ("POST", "sync"), ("DELETE", "sync"), ("GET", "")]),
    )
    def reach_for_what_is_not_theirs(self, key: Key, ours: Ours, call: tuple[str, str]) -> None:
        """Byte for byte what an id that nobody has gets, and Airbyte hears of neither."""
        if ours.belongs_to(key.owner):
            return
        self.run(shared_calls_end())
        self.world.sandbox.requests.clear()
        answers = [self.ask(key, call[0], f"/connections/{each}/{call[1]}") for each in (ours.id, NEVER_OURS)]
        assert not self.world.sandbox.requests
        heard = [without_its_own(answer) for answer in answers if answer is not None]
        assert all(status >= 400 for status, _, _ in heard)
        assert len(heard) < 2 or heard[0] == heard[1]


def test_the_gateway_and_the_model_never_disagree() -> None:
    """Answers, orders, limits and whose is what, whatever happened before."""
    lives = settings(
        max_examples=max(1, int(STEPS or "1800") // STEPS_OF_A_LIFE),
        stateful_step_count=STEPS_OF_A_LIFE,
        derandomize=STEPS is None,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Lives, settings=lives)


async def test_a_request_of_a_removed_client_never_shows_the_client_added_after_it(world: World) -> None:
    """Held up at Airbyte while its client goes and another one comes."""
    key = await world.client_with_key("acme")
    await world.mapped_connection("acme")
    client = await world.services.store.clients.by_slug("acme")
    world.sandbox.faults.get_hang = held_up = asyncio.Event()
    world.clock.advance(60)
    listing = asyncio.create_task(world.http.get("/api/v1/connections", headers=bearer(key)))
    while not any(seen.path.endswith("/jobs") for seen in list(world.sandbox.requests)[-1:]):
        await asyncio.sleep(0)
    await world.services.store.clients.remove(client.id)
    await world.client_with_key("globex")
    await world.services.connections.add("globex", connector_type="shopify", label="Secret", airbyte_id=None)
    held_up.set()

    assert "Secret" not in (await listing).text
