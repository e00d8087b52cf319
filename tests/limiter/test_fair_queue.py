"""The queue that several owners share fairly."""

from gateway.limiter.fair_queue import FairQueue


def queue_of(*items: tuple[str, str], most: int = 100) -> FairQueue[str, str]:
    queue: FairQueue[str, str] = FairQueue(most=most)
    for owner, item in items:
        queue.join(owner, item)
    return queue


def served(queue: FairQueue[str, str]) -> list[str]:
    order = []
    while taken := queue.take():
        order.append(taken[1])
    return order


def test_owners_are_served_in_turn_and_each_in_its_own_order() -> None:
    queue = queue_of(("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2"))

    assert served(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(queue) == 0


def test_who_begins_to_wait_comes_before_who_was_just_served() -> None:
    queue = queue_of(("a", "a1"), ("a", "a2"), ("a", "a3"))
    queue.take()
    queue.take()
    queue.join("b", "b1")
    queue.join("a", "a4")

    assert served(queue) == ["a3", "b1", "a4"]


def test_what_may_not_be_served_keeps_its_rank_and_keeps_nothing_behind_it_back() -> None:
    queue = queue_of(("a", "a1"), ("a", "a2"), ("b", "b1"))

    assert queue.take(lambda owner, _item: owner != "a") == ("b", "b1")
    assert queue.take(lambda _owner, item: item != "a1") == ("a", "a2")
    assert served(queue) == ["a1"]


def test_the_newest_of_who_has_the_most_gives_way() -> None:
    queue = queue_of(("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), most=4)

    assert queue.join("b", "b2") == "a3"
    assert list(queue.of("a")) == ["a1", "a2"]
    assert list(queue.of("b")) == ["b1", "b2"]


def test_who_comes_with_as_many_as_another_takes_nothing_from_him() -> None:
    queue = queue_of(("a", "a1"), ("a", "a2"), ("b", "b1"), most=3)

    assert queue.join("b", "b2") == "b2"
    assert len(queue) == 3


def test_what_has_left_is_not_served_and_leaves_no_owner_behind() -> None:
    queue = queue_of(("a", "a1"), ("b", "b1"))
    queue.leave("a", "a1")
    queue.leave("a", "a1")

    assert len(queue) == 1
    assert queue.owners(lambda _item: True) == {"b"}
