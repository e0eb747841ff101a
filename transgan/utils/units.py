"""Units, and numbers written for people: 1.23M, 3.5 h."""

GIB = 2**30  # bytes


def short_number(number: float) -> str:
    """A number in three significant digits with a unit prefix: 0.117, 950, 4.35k, 12.8M, 2G."""
    rounded = float(f"{number:.3g}")
    for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= size:
            return f"{rounded / size:.4g}{prefix}"
    return f"{rounded:.3g}"


def flop(eflop: float) -> str:
    """A number of floating-point operations, given in EFLOP, in the unit that suits it: 2.17 TFLOP, 46.3 EFLOP."""
    if not eflop:
        return "0"
    value, unit = eflop, "EFLOP"
    for smaller in ("PFLOP", "TFLOP", "GFLOP", "MFLOP"):
        if float(f"{value:.3g}") >= 1:
            break
        value, unit = value * 1000, smaller
    return f"{plain_number(value)} {unit}"


def plain_number(value: float) -> str:
    """A number in three significant digits, and without an exponent if it is large: 1448, 64.1, 0.117, 1.1e-05."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """A length of time in the largest unit that suits it: 45 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
