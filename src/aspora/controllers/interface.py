"""What a controller is made from. `build(parts)` in its file answers the `Controller`."""

from dataclasses import dataclass, field

from aspora.client.interface import Client, Records
from aspora.kit.clock import Clock
from aspora.reconcile.events import EventRecorder, NoEvents
from aspora.reconcile.informers import Informers


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may choose about clean-up.

    Attributes:
        kept_revisions: How many revisions of a skill stay, beside those that a Route names or that are young.
    """

    kept_revisions: int = 10


@dataclass(frozen=True, slots=True)
class ControllerParts:
    """The parts of one controller.

    Attributes:
        client: Reads and writes objects, as the leader.
        records: Reads numbers and records; the same client.
        informers: Shared with the other controllers of the process.
        clock: For conditions and ages.
        events: Tells people what happened.
        policy: The operator's choices.
    """

    client: Client
    records: Records
    informers: Informers
    clock: Clock
    events: EventRecorder = field(default_factory=NoEvents)
    policy: Policy = Policy()
