"""What a collective costs: latency a hop (alpha) and time a byte on a link (beta), fitted from `allreco bench --collectives`.

The formulas are those of Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH (2005): with n ranks
and S bytes

    all_reduce_sum  ring                2 (n - 1) alpha  +  2 (n - 1) / n  S beta
    tree_sum        recursive doubling  log2(n) alpha    +  log2(n)  S beta
    broadcast       pipelined tree      ceil(log2(n)) alpha  +  S beta
"""
import dataclasses
import math

OPERATIONS = ("all_reduce_sum", "tree_sum", "broadcast")


def hops(operation: str, ranks: int) -> float:
    """How many messages one after another: what alpha is multiplied with."""
    if ranks == 1:
        return 0
    return {"all_reduce_sum": 2 * (ranks - 1), "tree_sum": math.log2(ranks), "broadcast": math.ceil(math.log2(ranks))}[operation]


def share_of_bytes(operation: str, ranks: int) -> float:
    """How many times all bytes pass a rank's link: what S beta is multiplied with."""
    if ranks == 1:
        return 0
    return {"all_reduce_sum": 2 * (ranks - 1) / ranks, "tree_sum": math.log2(ranks), "broadcast": 1}[operation]


@dataclasses.dataclass(frozen=True)
class Link:
    alpha_us: float          # of a hop
    beta_us_per_byte: float  # of a link
    worst_error: float = 0   # of the fit: the largest |fitted / measured - 1|
    points: int = 0

    def us(self, operation: str, ranks: int, num_bytes: float) -> float:
        return hops(operation, ranks) * self.alpha_us + share_of_bytes(operation, ranks) * num_bytes * self.beta_us_per_byte

    @property
    def gb_per_second(self) -> float | None:
        return 1e-3 / self.beta_us_per_byte if self.beta_us_per_byte > 0 else None


def least_squares(rows: list[tuple[float, float, float]]) -> tuple[float, float]:
    """x, y >= 0 with u x + v y nearest to t for all rows (u, v, t), by relative error, so that small messages count like large ones."""
    uu = sum((u / t) ** 2 for u, _, t in rows)
    vv = sum((v / t) ** 2 for _, v, t in rows)
    uv = sum(u * v / t ** 2 for u, v, t in rows)
    ut, vt = sum(u / t for u, _, t in rows), sum(v / t for _, v, t in rows)
    determinant = uu * vv - uv * uv
    x = y = -1.0
    if determinant > 1e-12 * uu * vv:
        x, y = (ut * vv - vt * uv) / determinant, (vt * uu - ut * uv) / determinant
    if x >= 0 and y >= 0:
        return x, y
    # The best with one of them 0: that which explains more.
    alone = [(ut / uu if uu else 0.0, 0.0), (0.0, vt / vv if vv else 0.0)]
    return min(alone, key=lambda xy: sum(((u * xy[0] + v * xy[1]) / t - 1) ** 2 for u, v, t in rows))


def fit(operation: str, measured: list[tuple[int, int, float]]) -> Link:
    """`measured`: ranks, bytes, microseconds, of more than one rank."""
    rows = [(hops(operation, n), share_of_bytes(operation, n) * size, us) for n, size, us in measured if n > 1 and us > 0]
    if not rows:
        raise ValueError(f"nothing is measured of {operation} on several ranks")
    alpha, beta = least_squares(rows)
    worst = max(abs((u * alpha + v * beta) / t - 1) for u, v, t in rows)
    return Link(alpha, beta, worst, len(rows))


class Network:
    """Each collective as it was measured on n ranks, where it was; on other numbers of ranks as the fit over all says."""

    def __init__(self, documents: list[dict]):
        measured: dict[str, list[tuple[int, int, float]]] = {}
        for document in documents:
            for time in document["times"]:
                measured.setdefault(time["operation"], []).append((document["world_size"], time["bytes"], time["us"]))
        self.plane = documents[0]["plane"] if documents else "none"
        self.over_all: dict[str, Link] = {}
        self.of_ranks: dict[tuple[str, int], Link] = {}
        for operation, points in measured.items():
            several = [point for point in points if point[0] > 1]
            if not several:
                continue
            self.over_all[operation] = fit(operation, several)
            for n in {n for n, _, _ in several}:
                self.of_ranks[operation, n] = fit(operation, [point for point in several if point[0] == n])

    def link(self, operation: str, ranks: int) -> Link:
        found = self.of_ranks.get((operation, ranks)) or self.over_all.get(operation)
        if found is None:
            raise ValueError(f"{operation} was not measured: run allreco bench --collectives true on several ranks")
        return found

    def us(self, operation: str, ranks: int, num_bytes: float) -> float:
        return self.link(operation, ranks).us(operation, ranks, num_bytes) if ranks > 1 else 0.0

    def document(self) -> list[dict]:
        """Of each fit, alpha and beta; ranks None: over all."""
        rows = [(operation, None, link) for operation, link in sorted(self.over_all.items())]
        rows += [(operation, n, link) for (operation, n), link in sorted(self.of_ranks.items())]
        return [{"operation": operation, "ranks": n, "alpha_us": link.alpha_us, "gb_per_second": link.gb_per_second,
                 "worst_error": link.worst_error, "points": link.points} for operation, n, link in rows]
