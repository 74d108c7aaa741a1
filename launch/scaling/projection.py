"""What the model of the cluster says of clusters that nobody here has: shapes x GPUs x networks, from stated figures."""
import dataclasses
import math

from overlap import SumCost, buckets_of_layers, exposed_ms

GPUS = [8, 64, 256, 1024]
SEQUENCE, MICRO_BATCH, GLOBAL_BATCH = 2048, 4, 1024  # tokens of an example, examples of a GPU at once, and of a step with strong scaling
LORA_R = 16                                          # on all projections


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    storage: str           # NF4 where a dense base does not fit a GPU of 80 GB
    checkpointing: bool

    def projections(self) -> list[tuple[int, int]]:
        d, f, q, kv = self.hidden, self.intermediate, self.heads * self.head_dim, self.kv_heads * self.head_dim
        return [(d, q), (d, kv), (d, kv), (q, d), (d, f), (d, f), (f, d)]

    def lora_parameters_of_layer(self) -> int:
        return sum(LORA_R * (a + b) for a, b in self.projections())

    def flop(self, examples: int) -> tuple[float, float]:
        """Forward with the loss head, and backward, of so many examples: bench's formula (src/bench/flops.h), and with checkpointing a further
        forward of all layers in backward."""
        tokens = examples * SEQUENCE
        frozen = self.layers * sum(a * b for a, b in self.projections())
        learned = self.layers * self.lora_parameters_of_layer()
        pairs = examples * SEQUENCE * (SEQUENCE + 1) / 2
        attention = self.heads * self.head_dim * pairs * self.layers
        forward = 2 * tokens * frozen + 2 * tokens * learned + 4 * attention
        backward = 2 * tokens * frozen + 4 * tokens * learned + 8 * attention + (forward if self.checkpointing else 0)
        return forward + 4 * tokens * self.vocabulary * self.hidden, backward


SHAPES = [Shape("1B (TinyLlama-1.1B)", 32000, 2048, 5632, 22, 32, 4, 64, "bfloat16", False),
          Shape("7B (Mistral-7B)", 32000, 4096, 14336, 32, 32, 8, 128, "bfloat16", True),
          Shape("70B (Llama-2-70B)", 32000, 8192, 28672, 80, 64, 8, 128, "NF4", True)]


@dataclasses.dataclass(frozen=True)
class Cluster:
    name: str
    gpus_per_node: int
    peak_flop: float                # of a GPU
    share_of_peak: dict[str, float]  # that training reaches, by storage
    node_gb_per_second: float       # of a ring inside a node, each way
    network_gb_per_second: float    # of a node to the others, each way, all its cards together


# H100 SXM: 989 TFLOP/s in bfloat16; 72,700 and 69,900 tokens/s of docs/gpu.md are 35 and 34 % of it. NVLink 4: 450 GB/s each way.
H100 = {"gpus_per_node": 8, "peak_flop": 989e12, "share_of_peak": {"bfloat16": 0.35, "NF4": 0.34}, "node_gb_per_second": 450.0}
CLUSTERS = [Cluster("8 x 400 Gb/s InfiniBand a node", network_gb_per_second=400.0, **H100),
            Cluster("one 100 Gb/s Ethernet a node", network_gb_per_second=12.5, **H100)]

# NCCL's own estimates (src/graph/tuning.cc, NVIDIA/nccl), protocol LL128, in microseconds; it reaches 0.92 of a link's bandwidth.
BASE_US = 14.0
RING_US = {"node": 1.9, "network": 4.0}
TREE_US = {"node": 1.2, "network": 8.5}
LINK_EFFICIENCY = 0.92


def slowest_link(cluster: Cluster, nodes: int) -> float:
    """Bytes per millisecond of a ring's or tree's slowest link."""
    gb = cluster.node_gb_per_second if nodes == 1 else min(cluster.node_gb_per_second, cluster.network_gb_per_second)
    return LINK_EFFICIENCY * gb * 1e6


def ring(cluster: Cluster, gpus: int) -> SumCost:
    nodes = math.ceil(gpus / cluster.gpus_per_node)
    messages, between = 2 * (gpus - 1), 2 * (nodes - 1)
    latency_us = BASE_US + (messages - between) * RING_US["node"] + between * RING_US["network"]
    return SumCost(1, latency_us / 1000, messages / gpus / slowest_link(cluster, nodes))


def tree(cluster: Cluster, gpus: int) -> SumCost:
    """NCCL's pair of trees, up and down: all bytes pass a link twice."""
    nodes = math.ceil(gpus / cluster.gpus_per_node)
    latency_us = BASE_US + 2 * ((gpus / nodes - 1) * TREE_US["node"] + math.log2(nodes) * TREE_US["network"])
    return SumCost(1, latency_us / 1000, 2 / slowest_link(cluster, nodes))


def deterministic(cluster: Cluster, gpus: int) -> SumCost:
    """`deterministic = true`: recursive doubling. Between nodes all GPUs of a node send at once, so each has its part of the network."""
    latency_ms = ms_per_byte = 0.0
    for level in range(round(math.log2(gpus))):
        inside = 2 ** level < cluster.gpus_per_node
        gb = cluster.node_gb_per_second if inside else cluster.network_gb_per_second / cluster.gpus_per_node
        latency_ms += (BASE_US + RING_US["node" if inside else "network"]) / 1000
        ms_per_byte += 1 / (LINK_EFFICIENCY * gb * 1e6)
    return SumCost(1, latency_ms, ms_per_byte)


ALGORITHMS = {"ring": ring, "tree": tree, "deterministic": deterministic}


def step_of(shape: Shape, cluster: Cluster, gpus: int, examples: int, algorithm: str) -> dict:
    """A step of a GPU with so many examples."""
    speed = cluster.peak_flop * cluster.share_of_peak[shape.storage] / 1000  # FLOP per ms
    forward, backward = shape.flop(1)
    last = min(MICRO_BATCH, examples)
    compute = examples * (forward + backward) / speed
    buckets = buckets_of_layers([4 * shape.lora_parameters_of_layer()] * shape.layers)
    cost = ALGORITHMS[algorithm](cluster, gpus)
    exposed = exposed_ms(buckets, last * backward / speed, shape.layers, cost, on_stream=True) if gpus > 1 else 0.0
    return {"compute_ms": compute, "sums_ms": sum(cost.alone_ms(bucket.num_bytes) for bucket in buckets), "exposed_ms": exposed,
            "step_ms": compute + exposed, "efficiency": compute / (compute + exposed)}


def project() -> dict:
    rows = []
    for cluster in CLUSTERS:
        for shape in SHAPES:
            for gpus in GPUS:
                row = {"network": cluster.name, "shape": shape.name, "storage": shape.storage, "gpus": gpus,
                       "gradient_bytes": 4 * shape.layers * shape.lora_parameters_of_layer()}
                for mode, examples in (("weak", MICRO_BATCH), ("strong", GLOBAL_BATCH // gpus)):
                    row[mode] = {algorithm: step_of(shape, cluster, gpus, examples, algorithm) for algorithm in ALGORITHMS}
                rows.append(row)
    return {"sequence_length": SEQUENCE, "micro_batch": MICRO_BATCH, "global_batch_of_strong": GLOBAL_BATCH, "lora_r": LORA_R,
            "clusters": [dataclasses.asdict(cluster) for cluster in CLUSTERS], "shapes": [dataclasses.asdict(shape) for shape in SHAPES],
            "rows": rows}


def markdown_of(document: dict) -> str:
    lines = ["| network | shape | gradient MB | GPUs | weak: compute ms | all sums, ring / tree | exposed, ring / tree / deterministic | efficiency % "
             "| strong: step ms | efficiency % |", "|" + "---|" * 10]
    for row in document["rows"]:
        weak, strong = row["weak"], row["strong"]
        best, best_strong = (min((w["ring"], w["tree"]), key=lambda step: step["step_ms"]) for w in (weak, strong))
        lines.append(
            f"| {row['network']} | {row['shape']}, {row['storage']} | {row['gradient_bytes'] / 1e6:.0f} | {row['gpus']:,} | {best['compute_ms']:,.0f} | "
            f"{weak['ring']['sums_ms']:,.1f} / {weak['tree']['sums_ms']:,.1f} | " + " / ".join(f"{weak[a]['exposed_ms']:,.2f}" for a in ALGORITHMS)
            + f" | {100 * best['efficiency']:.1f} | {best_strong['step_ms']:,.0f} | {100 * best_strong['efficiency']:.1f} |")
    return "\n".join(lines)
