"""How figures are printed: value, target, method, and below it what bounds the figure, measured beside it."""

from collections.abc import Mapping


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def show(name: str, value: str, target: str, method: str) -> None:
    """One figure with its target and how it was taken."""
    print(f"{name:<44} {value:>24}   target {target:<12} {method}", flush=True)


def because(text: str) -> None:
    """What bounds the figure above."""
    print(f"    bound by  {text}", flush=True)


def parts(values: Mapping[str, float], *, digits: int, unit: str) -> str:
    """`a 1.5 · b 0.2 = 1.7 ms`, the largest first; what rounds to nothing is left out."""
    shown = [(name, value) for name, value in values.items() if round(value, digits) > 0]
    shown.sort(key=lambda pair: -pair[1])
    told = " · ".join(f"{name} {value:.{digits}f}" for name, value in shown)
    return f"{told} = {sum(values.values()):.{digits}f} {unit}"
