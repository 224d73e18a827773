"""D12: no more packages run at once than the processors and the memory of this machine carry."""

import threading
import time

import pytest

from buildrules.serving import room
from buildrules.serving.room import Room


def most_at_once(place: Room, sizes: list[int], alone: int = -1) -> tuple[int, bool]:
    """How many of so many packages ran at once, and whether the one with the number `alone` ever ran with another."""
    lock = threading.Lock()
    now: set[int] = set()
    seen: list[set[int]] = []

    def run(number: int) -> None:
        with place.take(sizes[number], alone=number == alone):
            with lock:
                now.add(number)
                seen.append(set(now))
            time.sleep(0.02)
            with lock:
                now.remove(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(sizes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(sizes)
    return max(map(len, seen)), any(alone in one and len(one) > 1 for one in seen)


def test_d12_as_many_as_processors() -> None:
    most, _ = most_at_once(Room(), [0] * (room.processors() + 3))
    assert most == room.processors()


def test_d12_as_many_as_memory_holds() -> None:
    """One that needs more than there is runs, but alone."""
    most, _ = most_at_once(Room(), [room.memory() * 2 // 3] * 4)
    assert most == 1
    most, _ = most_at_once(Room(), [1 << 60] * 2)
    assert most == 1


@pytest.mark.parametrize("alone", [0, 2, 5])
def test_d12_what_is_tried_again_has_the_machine_for_itself(alone: int) -> None:
    _, together = most_at_once(Room(), [0] * 6, alone)
    assert not together


def test_this_machine() -> None:
    assert 1 <= room.processors() <= 4096
    assert 1 << 20 < room.memory() < 1 << 50
