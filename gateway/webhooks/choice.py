"""Choose what is sent next: whoever has the fewest under way comes first, and nobody exceeds its share. Pure."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.store import DueDelivery
from gateway.webhooks.timings import DeliveryLimits


class UnderWay:
    """Deliveries that are being sent, counted by client and by webhook, and those of failing webhooks together."""

    def __init__(self, limits: DeliveryLimits) -> None:
        self._limits = limits
        self._clients: Counter[int] = Counter()
        self._webhooks: Counter[int] = Counter()
        self._failing = 0

    @property
    def has_room(self) -> bool:
        """Whether one more may be sent at all."""
        return self._clients.total() < self._limits.total

    @property
    def is_empty(self) -> bool:
        """Whether nothing is being sent."""
        return not self._clients

    @property
    def full_clients(self) -> list[int]:
        """Clients that have as many under way as one may."""
        return [client for client, count in self._clients.items() if count >= self._limits.of_client]

    @property
    def full_webhooks(self) -> list[int]:
        """Webhooks that have as many under way as one may."""
        return [webhook for webhook, count in self._webhooks.items() if count >= self._limits.of_webhook]

    @property
    def is_full_of_failing(self) -> bool:
        """Whether no more of webhooks may be sent whose last attempt failed."""
        return self._failing >= self._limits.of_failing

    def add(self, delivery: DueDelivery) -> None:
        """Count a delivery that begins."""
        self._failing += delivery.is_failing
        self._clients[delivery.client_id] += 1
        self._webhooks[delivery.webhook_number] += 1

    def remove(self, delivery: DueDelivery) -> None:
        """Count a delivery no more: it has ended."""
        self._failing -= delivery.is_failing
        for counter, owner in ((self._clients, delivery.client_id), (self._webhooks, delivery.webhook_number)):
            counter[owner] -= 1
            if not counter[owner]:
                del counter[owner]

    def choose(self, due: Iterable[DueDelivery]) -> Sequence[DueDelivery]:
        """Add as many of the due deliveries as there is room for, and return them.

        The client that has the fewest under way comes first, then whose first one stands first in `due`.
        """
        waiting: dict[int, list[DueDelivery]] = {}
        for delivery in due:
            waiting.setdefault(delivery.client_id, []).append(delivery)
        queue = [(self._clients[client], place, client) for place, client in enumerate(waiting)]
        heapq.heapify(queue)
        chosen: list[DueDelivery] = []
        while queue and self.has_room:
            _, place, client = heapq.heappop(queue)
            following = self._next(waiting[client])
            if following is not None:
                self.add(following)
                chosen.append(following)
                heapq.heappush(queue, (self._clients[client], place, client))
        return chosen

    def _next(self, deliveries: list[DueDelivery]) -> DueDelivery | None:
        """Take the client's first delivery that may be sent out of its list."""
        while deliveries:
            delivery = deliveries.pop(0)
            is_full = (
                self._clients[delivery.client_id] >= self._limits.of_client
                or self._webhooks[delivery.webhook_number] >= self._limits.of_webhook
                or (delivery.is_failing and self.is_full_of_failing)
            )
            if not is_full:
                return delivery
        return None
