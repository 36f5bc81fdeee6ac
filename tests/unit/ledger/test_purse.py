from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aspora.ledger.interface import AccountKey, Part, Scope, ScopeKind, Unit, Window
from aspora.ledger.purse import Purse

START = datetime(2026, 3, 31, tzinfo=UTC)
SKILL = AccountKey(Scope(ScopeKind.SKILL, "a/b"), Window.DAY, START, Unit.MICRO_USD)
PLATFORM = AccountKey(Scope(ScopeKind.PLATFORM, ""), Window.DAY, START, Unit.MICRO_USD)


def filled(skill: int, platform: int) -> Purse:
    purse = Purse()
    purse.add(SKILL, account=1, amount=skill)
    purse.add(PLATFORM, account=2, amount=platform)
    return purse


def test_all_accounts_or_none() -> None:
    purse = filled(100, 50)
    assert purse.reserve({SKILL: 60, PLATFORM: 60}) is None
    assert purse.lacking({SKILL: 60, PLATFORM: 60}) == {PLATFORM: 10}
    assert purse.reserve({SKILL: 50, PLATFORM: 50}) == (Part(SKILL, 1, 50), Part(PLATFORM, 2, 50))
    assert purse.lacking({SKILL: 50, PLATFORM: 0}) == {}


def test_what_is_not_leased_lacks_even_nothing() -> None:
    assert Purse().lacking({SKILL: 0}) == {SKILL: 0}
    assert Purse().reserve({SKILL: 0}) is None


def test_a_settled_hold_is_gone_and_a_released_one_is_free() -> None:
    purse = filled(100, 100)
    settled = purse.reserve({SKILL: 40})
    released = purse.reserve({SKILL: 60})
    assert settled
    assert released
    purse.settle(settled)
    purse.release(released)
    assert purse.lacking({SKILL: 61}) == {SKILL: 1}


def test_what_was_not_used_since_the_last_look_goes_back() -> None:
    purse = filled(100, 100)
    assert purse.reserve({SKILL: 30})
    assert purse.take_idle() == {1: 40, 2: 100}
    assert purse.take_idle() == {1: 30}
    assert purse.take_idle() == {}


def test_nothing_is_taken_from_a_stopped_account() -> None:
    purse = filled(100, 100)
    assert purse.reserve({SKILL: 30})
    purse.stop([1])
    assert purse.lacking({SKILL: 30, PLATFORM: 30}) == {SKILL: 30}
    assert purse.take_idle()[1] == 70, "though it was used"
    purse.add(SKILL, account=1, amount=30)
    assert purse.reserve({SKILL: 30})


def test_after_a_lost_answer_the_database_knows() -> None:
    purse = filled(100, 0)
    assert purse.reserve({SKILL: 30})
    assert purse.correct({1: 80, 2: 5, 3: 7}) == {3: 7}
    assert purse.take_idle() == {1: 20, 2: 5}
    assert purse.correct({1: 10}) == {}
    assert purse.take_idle() == {}, "never below what is held"


def test_a_hold_of_nothing_outlasts_its_empty_share() -> None:
    purse = filled(0, 0)
    first, second = purse.reserve({SKILL: 0}), purse.reserve({SKILL: 0})
    purse.take_idle()
    assert first
    assert second
    purse.settle(first)
    purse.release(second)
    assert purse.lacking({SKILL: 1}) == {SKILL: 1}


def test_what_is_empty_takes_no_room() -> None:
    purse = Purse()
    for n in range(1000):
        execution = AccountKey(Scope(ScopeKind.EXECUTION, str(n)), Window.EXECUTION, START, Unit.MICRO_USD)
        purse.add(execution, account=n, amount=10)
        parts = purse.reserve({execution: 10})
        assert parts
        purse.settle(parts)
    purse.take_idle()
    assert purse._shares == {}


@given(
    leased=st.lists(st.integers(0, 1000), max_size=5), needs=st.lists(st.integers(0, 1000), max_size=20), ends=st.data()
)
def test_never_more_is_reserved_than_is_leased(leased: list[int], needs: list[int], ends: st.DataObject) -> None:
    purse, held, gone = Purse(), 0, 0
    for amount in leased:
        purse.add(SKILL, account=1, amount=amount)
    for need in needs:
        parts = purse.reserve({SKILL: need})
        if parts is None:
            assert not leased or held + gone + need > sum(leased)
            continue
        end = ends.draw(st.sampled_from(["hold", "settle", "release"]))
        if end == "settle":
            purse.settle(parts)
            gone += need
        elif end == "release":
            purse.release(parts)
        else:
            held += need
        assert held + gone <= sum(leased)
    assert sum(purse.take_idle(keep_used=False).values()) == sum(leased) - held - gone
