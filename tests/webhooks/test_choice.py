"""What is sent next: shares of clients and webhooks."""

from gateway.store import DueDelivery
from gateway.webhooks.choice import UnderWay
from gateway.webhooks.timings import DeliveryLimits


def due(number: int, client: int, webhook: int | None = None, *, is_failing: bool = False) -> DueDelivery:
    return DueDelivery(number, client if webhook is None else webhook, client, is_failing)


def numbers(under_way: UnderWay, *deliveries: DueDelivery) -> list[int]:
    return [each.number for each in under_way.choose(deliveries)]


def test_nobody_exceeds_its_share() -> None:
    under_way = UnderWay(DeliveryLimits(total=9, of_client=3, of_webhook=2))

    assert numbers(under_way, *(due(number, 1, number % 2) for number in range(4)), due(9, 2)) == [0, 9, 1, 2]
    assert (under_way.full_clients, under_way.full_webhooks) == ([1], [0])
    assert numbers(under_way, due(10, 1, 5)) == []
    under_way.remove(due(0, 1, 0))
    assert numbers(under_way, due(11, 1, 1)) == [11]


def test_a_webhook_that_hangs_takes_no_more_than_its_share() -> None:
    under_way = UnderWay(DeliveryLimits(total=9, of_client=9, of_webhook=2))

    assert numbers(under_way, *(due(number, 1, webhook=0) for number in range(4)), due(4, 1, webhook=1)) == [0, 1, 4]
    assert under_way.full_webhooks == [0]


def test_all_failing_webhooks_together_leave_room_for_those_that_answer() -> None:
    under_way = UnderWay(DeliveryLimits(total=4, of_failing=2, of_client=9, of_webhook=9))

    assert numbers(under_way, *(due(number, number, is_failing=True) for number in range(4)), due(9, 9)) == [0, 1, 9]
    assert (under_way.is_full_of_failing, under_way.has_room) == (True, True)
    under_way.remove(due(0, 0, is_failing=True))
    assert numbers(under_way, due(5, 5, is_failing=True)) == [5]


def test_the_client_with_the_fewest_under_way_comes_first() -> None:
    under_way = UnderWay(DeliveryLimits(total=4, of_client=3, of_webhook=9))
    under_way.choose([due(1, 1), due(2, 1)])

    assert numbers(under_way, due(3, 1), due(4, 2), due(5, 3), due(6, 2)) == [4, 5]
    assert not under_way.has_room
    for delivery in (due(1, 1), due(2, 1), due(4, 2), due(5, 3)):
        under_way.remove(delivery)
    assert under_way.is_empty
