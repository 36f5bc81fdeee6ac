"""One upstream's circuit: closed, open for a while after faults, then one probe that closes or opens it again. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from aspora.circuits.interface import OpenCircuit
from aspora.kit.backoff import Backoff

FAULTS_IN_A_ROW = 5
RECENT_CALLS = 20
RECENT_SECONDS = 30.0
RECENT_FAULT_RATIO = 0.5
OPEN_BACKOFF = Backoff(base_seconds=6.25, factor=2.0, max_seconds=50.0, jitter_ratio=0.2)
"""With its jitter from 5 to 60 s."""
CLAIM_SECONDS = 10.0
"""How long a probe is nobody else's without a sign of life of its owner."""


class Verdict(Enum):
    """What a call says of its upstream."""

    WELL = "well"
    FAULTY = "faulty"
    NOTHING = "nothing"
    """It never went out, was cancelled, or failed for a reason of its own."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to call. What is told of it counts while the circuit is in the same era."""

    era: int
    is_probe: bool = False


@dataclass(slots=True, kw_only=True)
class Opening:
    """That a circuit is open. Instants are monotonic.

    Attributes:
        number: How often in a row.
        until: From then on a probe may go out.
        turn: The board's; None while the board does not know.
        probe_until: Until then somebody has the probe.
        is_ours: Whether this process has it.
        is_probing: Whether a call of this process is the probe now.
    """

    number: int
    until: float
    turn: int | None = None
    probe_until: float = float("-inf")
    is_ours: bool = False
    is_probing: bool = False


class Circuit:
    """One circuit, as this process knows it.

    Attributes:
        opening: None while closed.
    """

    def __init__(self, *, rand: Callable[[], float]) -> None:
        self.opening: Opening | None = None
        self._rand = rand
        self._era = 0
        self._in_a_row = 0
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT_CALLS)

    def admit(self, now: float) -> Pass | None:
        """Leave to call now; None when the upstream is to be left alone."""
        opening = self.opening
        if opening is None:
            return Pass(self._era)
        if not opening.is_ours or opening.is_probing or not opening.until <= now < opening.probe_until:
            return None
        opening.is_probing = True
        return Pass(self._era, is_probe=True)

    def is_unclaimed(self, now: float) -> bool:
        """Whether a probe may go out, and nobody is known to have it."""
        opening = self.opening
        return opening is not None and opening.until <= now and opening.probe_until <= now and not opening.is_probing

    def grant(self, now: float) -> None:
        """Give the probe to this process, if nobody is known to have it."""
        if self.opening is not None and self.is_unclaimed(now):
            self.opening.is_ours, self.opening.probe_until = True, now + CLAIM_SECONDS

    def seconds_left(self, now: float) -> float:
        """Until a call may be let through; 0 when closed."""
        opening = self.opening
        return 0.0 if opening is None else max(opening.until - now, opening.probe_until - now, 0.0)

    def tell(self, given: Pass, verdict: Verdict, now: float) -> bool:
        """Take what came of a call; whether the circuit was opened or closed by it."""
        if given.era != self._era:
            return False
        if given.is_probe:
            return self._end_probe(verdict, now)
        if self.opening is not None or verdict is Verdict.NOTHING:
            return False
        is_faulty = verdict is Verdict.FAULTY
        self._in_a_row = self._in_a_row + 1 if is_faulty else 0
        self._recent.append((now, is_faulty))
        if self._in_a_row >= FAULTS_IN_A_ROW or self._is_mostly_faulty(now):
            self._open(number=1, turn=None, now=now)
            return True
        return False

    def adopt(self, told: OpenCircuit, *, now: float, is_ours: bool) -> None:
        """Take over what the board says of an open circuit."""
        known = self.opening
        is_known = known is not None and known.turn == told.turn
        self.opening = Opening(
            number=told.number,
            until=now + told.seconds_left,
            turn=told.turn,
            probe_until=now + told.probe_seconds_left,
            is_ours=is_ours,
            is_probing=known is not None and is_known and known.is_probing,
        )
        if not is_known:
            self._era += 1

    def close(self) -> None:
        """Begin anew, with nothing held against it."""
        self.opening = None
        self._era += 1
        self._in_a_row = 0
        self._recent.clear()

    def _end_probe(self, verdict: Verdict, now: float) -> bool:
        opening = self.opening
        if opening is None:
            return False
        opening.is_probing = False
        if verdict is Verdict.WELL:
            self.close()
        elif verdict is Verdict.FAULTY:
            self._open(number=opening.number + 1, turn=opening.turn, now=now)
        return verdict is not Verdict.NOTHING

    def _open(self, *, number: int, turn: int | None, now: float) -> None:
        self.close()
        self.opening = Opening(
            number=number, until=now + OPEN_BACKOFF.delay_seconds(number - 1, rand=self._rand), turn=turn
        )

    def _is_mostly_faulty(self, now: float) -> bool:
        if len(self._recent) < RECENT_CALLS or now - self._recent[0][0] > RECENT_SECONDS:
            return False
        return sum(is_faulty for _, is_faulty in self._recent) >= RECENT_FAULT_RATIO * RECENT_CALLS
