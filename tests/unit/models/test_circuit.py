"""The circuit of one upstream, on a clock turned by hand."""

from hypothesis import given
from hypothesis import strategies as st

from aspora.circuits.interface import OpenCircuit, Upstream
from aspora.models.circuit import CLAIM_SECONDS, FAULTS_IN_A_ROW, RECENT_CALLS, Circuit, Opening, Pass, Verdict

UP = Upstream("p", "http://h/v1")


def made() -> Circuit:
    return Circuit(rand=lambda: 0.5)


def call(circuit: Circuit, verdict: Verdict, now: float) -> bool:
    leave = circuit.admit(now)
    assert leave is not None
    return circuit.tell(leave, verdict, now)


def opened(now: float = 0.0) -> Circuit:
    circuit = made()
    for _ in range(FAULTS_IN_A_ROW):
        call(circuit, Verdict.FAULTY, now)
    return circuit


def test_five_faults_in_a_row_open_it_and_an_answer_between_does_not() -> None:
    circuit = made()
    for verdict in [*[Verdict.FAULTY] * 4, Verdict.WELL, *[Verdict.FAULTY] * 4]:
        assert not call(circuit, verdict, 0.0)
    assert call(circuit, Verdict.FAULTY, 0.0)
    assert circuit.admit(0.0) is None


def test_half_of_the_last_twenty_calls_open_it_when_they_lie_within_thirty_seconds() -> None:
    for step, opens in ((1.0, True), (2.0, False)):
        circuit = made()
        told = [call(circuit, Verdict.FAULTY if n % 2 else Verdict.WELL, n * step) for n in range(RECENT_CALLS)]
        assert told == [False] * (RECENT_CALLS - 1) + [opens]


def test_what_says_nothing_of_the_upstream_is_not_counted() -> None:
    circuit = made()
    for _ in range(FAULTS_IN_A_ROW - 1):
        call(circuit, Verdict.FAULTY, 0.0)
        call(circuit, Verdict.NOTHING, 0.0)
    assert circuit.opening is None
    assert call(circuit, Verdict.FAULTY, 0.0)


def test_calls_from_before_it_opened_say_nothing_any_more() -> None:
    circuit = made()
    early = circuit.admit(0.0)
    assert early is not None
    for _ in range(FAULTS_IN_A_ROW):
        call(circuit, Verdict.FAULTY, 0.0)
    assert not circuit.tell(early, Verdict.WELL, 1.0)
    assert circuit.opening is not None


def test_it_stays_open_longer_each_time_from_5_to_60_seconds() -> None:
    for rand, first, last in ((0.0, 5.0, 40.0), (1.0, 7.5, 60.0)):
        circuit, now, seconds = Circuit(rand=lambda rand=rand: rand), 0.0, []
        for _ in range(FAULTS_IN_A_ROW):
            call(circuit, Verdict.FAULTY, now)
        for _ in range(8):
            seconds.append(round(circuit.seconds_left(now), 6))
            now += circuit.seconds_left(now)
            circuit.grant(now)
            call(circuit, Verdict.FAULTY, now)
        assert seconds == sorted(seconds)
        assert (seconds[0], seconds[-1]) == (first, last)


def test_a_probe_that_came_to_nothing_may_be_made_again_by_the_same_process() -> None:
    circuit = opened()
    circuit.grant(50.0)
    assert not call(circuit, Verdict.NOTHING, 50.0)
    assert circuit.admit(50.0) is not None


def test_a_probe_that_passed_to_another_process_is_not_heard() -> None:
    circuit = opened()
    circuit.adopt(OpenCircuit(upstream=UP, number=1, turn=1, seconds_left=0), now=50.0, is_ours=True)
    circuit.grant(50.0)
    late = circuit.admit(50.0)
    assert late is not None
    theirs = OpenCircuit(upstream=UP, number=1, turn=2, seconds_left=-20, holder="b", probe_seconds_left=9)
    circuit.adopt(theirs, now=70.0, is_ours=False)
    assert not circuit.tell(late, Verdict.WELL, 71.0)
    assert circuit.admit(71.0) is None
    assert circuit.seconds_left(71.0) == 8.0


def check_leave(circuit: Circuit, opening: Opening | None, leave: Pass | None, now: float) -> None:
    """A call is let through while it is closed, or as the probe when its time has come."""
    if opening is None:
        assert leave is not None
        assert not leave.is_probe
    elif leave is not None:
        assert leave.is_probe
        assert opening.until <= now < opening.probe_until <= now + CLAIM_SECONDS
    assert circuit.opening is opening


def check_told(before: Opening | None, leave: Pass, verdict: Verdict, circuit: Circuit, now: float) -> None:
    """While it is open the probe alone changes it."""
    after = circuit.opening
    if before is not None and not leave.is_probe:
        assert after is before
    if leave.is_probe:
        assert (after is None, after is before) == (verdict is Verdict.WELL, verdict is Verdict.NOTHING)
    if after is not None and after is not before:
        assert 5.0 <= after.until - now <= 60.0


@given(st.lists(st.tuples(st.sampled_from(["admit", "grant", *Verdict]), st.floats(0, 40)), max_size=150))
def test_in_any_history_nothing_goes_out_while_open_and_one_probe_at_a_time(
    steps: list[tuple[str | Verdict, float]],
) -> None:
    circuit, now, out = opened(), 0.0, list[Pass]()
    for step, seconds in steps:
        now += seconds if step == "grant" else seconds / 100
        if step == "grant":
            circuit.grant(now)
        elif step == "admit":
            opening = circuit.opening
            leave = circuit.admit(now)
            check_leave(circuit, opening, leave, now)
            out += [leave] if leave is not None else []
            assert sum(leave.is_probe for leave in out) <= 1
        elif out:
            assert isinstance(step, Verdict)
            before, leave = circuit.opening, out.pop(0)
            circuit.tell(leave, step, now)
            check_told(before, leave, step, circuit, now)
