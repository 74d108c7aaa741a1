"""A model of the cluster: from measured cells to the step time on any number of ranks, and how far off that is.

A step of a rank is

    compute    crowd x (a micro-batches + b tokens), for forward, loss head and backward
    + fixed    data, optimiser: measured, the same on any number of ranks
    + exposed  the gradients' sums, what of them backward of the last micro-batch does not hide (overlap.py)
    + agree    one small sum, by which the ranks agree on loss, errors and stopping

crowd is what ranks on one host cost one another: they share its cores once there are more threads than cores, and before that its memory and
caches, 1 + k for each further rank that computes at the same time. a, b and k are fitted for each model and base, the sums by links.py.
"""
import dataclasses
import math

from links import Network, hops, least_squares
from overlap import Bucket, SumCost, exposed_ms

AGREEMENT_BYTES = 24  # failure, stop, and one shard's loss: TrainStep::run


@dataclasses.dataclass(frozen=True)
class Load:
    """What a rank does in a step, and beside whom."""
    ranks: int
    hosts: int
    threads: int
    cores: int  # of a host; 0: they do not matter (GPUs)
    tokens: float  # of the rank with most of them
    micro_batches: float


@dataclasses.dataclass(frozen=True)
class Step:
    """What all cells of one model and base have in common."""
    num_layers: int
    operation: str
    overlap: bool
    buckets: tuple[Bucket, ...]


@dataclasses.dataclass(frozen=True)
class Measured:
    name: str
    load: Load
    step: Step
    step_ms: float         # the median
    backward_share: float  # of forward, loss head and backward
    fixed_ms: float


def measured_of(name: str, bench: dict) -> Measured:
    """From bench.json. Times of parts are means over the steps; the step is the median, which a hiccup of the machine does not move."""
    if bench["world_size"] != len(bench["ranks"]) or not 1 <= bench["model"]["config"]["num_hidden_layers"] <= 10**5:
        raise ValueError("world_size is not the number of ranks, or num_hidden_layers is out of range")
    slowest = max(bench["ranks"], key=lambda rank: rank["median_step_ms"])
    steps, parts, machine = bench["num_steps"], bench["parts_ms"], bench["machine"]
    hosts = len({rank["host"] for rank in bench["ranks"]})
    load = Load(ranks=bench["world_size"], hosts=hosts, threads=machine["threads_per_rank"],
                cores=0 if machine["device"].startswith("cuda") else machine["cores"],
                tokens=max(rank["tokens"] for rank in bench["ranks"]) / steps,
                micro_batches=max(rank["micro_batches"] for rank in bench["ranks"]) / steps)
    gradients = bench["gradients"]
    step = Step(bench["model"]["config"]["num_hidden_layers"], gradients["operation"], gradients["overlap"],
                tuple(Bucket(bucket["bytes"], bucket["layers_done"]) for bucket in gradients["buckets"]))
    computing = parts["forward"] + parts["loss_head"] + parts["backward"]
    return Measured(name, load, step, slowest["median_step_ms"], parts["backward"] / computing, parts["data"] + parts["optimizer"])


def busy_neighbours(load: Load) -> float:
    """Further ranks of the host that compute at the same time."""
    ranks = math.ceil(load.ranks / load.hosts)
    return 0.0 if load.cores == 0 else max(0.0, min(ranks, load.cores / load.threads) - 1)


def crowd(load: Load, k: float) -> float:
    if load.cores == 0:
        return 1.0
    waiting = max(1.0, math.ceil(load.ranks / load.hosts) * load.threads / load.cores)
    return waiting * (1 + k * busy_neighbours(load))


def sum_cost(network: Network, operation: str, ranks: int) -> SumCost:
    link, messages = network.link(operation, ranks), hops(operation, ranks)
    total_of_bytes = network.us(operation, ranks, 1) - network.us(operation, ranks, 0)
    return SumCost(round(messages), link.alpha_us / 1000, total_of_bytes / messages / 1000)


@dataclasses.dataclass(frozen=True)
class Prediction:
    compute_ms: float
    fixed_ms: float
    exposed_ms: float
    agree_ms: float

    @property
    def step_ms(self) -> float:
        return self.compute_ms + self.fixed_ms + self.exposed_ms + self.agree_ms


@dataclasses.dataclass(frozen=True)
class Compute:
    ms_per_micro_batch: float
    ms_per_token: float
    k: float
    backward_share: float
    fixed_ms: float

    def compute_ms(self, load: Load) -> float:
        return crowd(load, self.k) * (self.ms_per_micro_batch * load.micro_batches + self.ms_per_token * load.tokens)

    def predict(self, load: Load, step: Step, network: Network) -> Prediction:
        compute = self.compute_ms(load)
        exposed = agree = 0.0
        if load.ranks > 1:
            last_backward = self.backward_share * compute / load.micro_batches
            exposed = exposed_ms(list(step.buckets), last_backward, step.num_layers, sum_cost(network, step.operation, load.ranks),
                                 step.overlap, on_stream=network.plane == "NCCL")
            agree = network.us("all_reduce_sum", load.ranks, AGREEMENT_BYTES) / 1000
        return Prediction(compute, self.fixed_ms, exposed, agree)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def fit_for_crowding(cells: list[Measured], network: Network, k: float) -> tuple[float, Compute]:
    """The sum of squared relative errors of the step, and the fit. What the sums leave exposed depends on backward, so on the fit: the rounds
    converge, since backward hides at most what it is longer."""
    backward_share, fixed = mean([cell.backward_share for cell in cells]), mean([cell.fixed_ms for cell in cells])
    others = [cell.fixed_ms for cell in cells]
    for _ in range(50):
        rows = [(crowd(c.load, k) * c.load.micro_batches, crowd(c.load, k) * c.load.tokens, max(1e-9, c.step_ms - other))
                for c, other in zip(cells, others)]
        compute = Compute(*least_squares(rows), k, backward_share, fixed)
        predictions = [compute.predict(cell.load, cell.step, network) for cell in cells]
        before, others = others, [p.step_ms - p.compute_ms for p in predictions]
        if all(abs(new - old) <= 1e-12 * cell.step_ms for cell, new, old in zip(cells, others, before)):
            break
    return sum((p.step_ms / cell.step_ms - 1) ** 2 for p, cell in zip(predictions, cells)), compute


def fit_compute(cells: list[Measured], network: Network) -> Compute:
    """The least squares of the step's relative errors; k to 0.001, from 0 to 2. Cells whose ranks all have the same neighbours do not tell k."""
    if len({busy_neighbours(cell.load) for cell in cells}) == 1:
        return fit_for_crowding(cells, network, 0.0)[1]
    middle, width = 1.0, 1.0
    for step in (0.1, 0.01, 0.001):
        candidates = [round(middle + i * step, 3) for i in range(-round(width / step), round(width / step) + 1)]
        middle = min((k for k in candidates if k >= 0), key=lambda k: fit_for_crowding(cells, network, k)[0])
        width = step
    return fit_for_crowding(cells, network, middle)[1]


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A cell, as the others predict it."""
    name: str
    ranks: int
    measured_ms: float
    predicted_ms: float | None  # None: the others are too few
    has_twin: bool              # another cell has the same load, so this is a repetition (strong and weak on the fewest ranks)

    @property
    def error(self) -> float | None:
        return None if self.predicted_ms is None else self.predicted_ms / self.measured_ms - 1


def leave_one_out(cells: list[Measured], network: Network) -> list[LeftOut]:
    rows = []
    for cell in cells:
        others = [other for other in cells if other is not cell]
        predicted = None
        if len({other.load for other in others}) >= 2:
            predicted = fit_compute(others, network).predict(cell.load, cell.step, network).step_ms
        rows.append(LeftOut(cell.name, cell.load.ranks, cell.step_ms, predicted, any(other.load == cell.load for other in others)))
    return rows


def on_more_hosts(cell: Measured, ranks: int) -> Load:
    """The weak cell on more ranks: as many on a host as there, with the same work for each."""
    per_host = math.ceil(cell.load.ranks / cell.load.hosts)
    return dataclasses.replace(cell.load, ranks=ranks, hosts=max(1, math.ceil(ranks / per_host)))
