"""How much of a step's gradient sums backward hides: the order of events in dist/gradient_reducer.cpp, once more.

Backward leaves the layers from the highest down. A bucket is the gradients of neighbouring layers; its sum starts when the last of
them is done, in the order of the buckets. What then happens depends on the data plane.

    NCCL  sums run one after another on a stream of their own
    MPI   all that have started are under way at once: their bytes share the link, their latencies do not add up. There is no thread for
          them, so a hop's successor starts only when the rank looks, which is after each layer, and all the time once backward is over
"""
import dataclasses
import heapq

MIN_BUCKET_BYTES = 1 << 20  # GradientReducer's


@dataclasses.dataclass(frozen=True)
class Bucket:
    num_bytes: int
    layers_done: int  # when so many layers are done, from the highest down, it is complete


def buckets_of_layers(layer_bytes: list[int], least: int = MIN_BUCKET_BYTES) -> list[Bucket]:
    """`layer_bytes`: in the order of backward."""
    buckets, size = [], 0
    for done, num_bytes in enumerate(layer_bytes, 1):
        size += num_bytes
        if size > 0 and (size >= least or done == len(layer_bytes)):
            buckets.append(Bucket(size, done))
            size = 0
    return buckets


@dataclasses.dataclass(frozen=True)
class SumCost:
    """One sum: `hops` of `latency_ms`, in each of which a part of the bytes occupies the link."""
    hops: int
    latency_ms: float
    ms_per_byte: float  # of a hop, of all the bucket's bytes

    def alone_ms(self, num_bytes: int) -> float:
        return self.hops * (self.latency_ms + num_bytes * self.ms_per_byte)


def layer_ends(backward_ms: float, num_layers: int) -> list[float]:
    """All layers take the same time; so do they in fact, but for the highest (no rows without a target) and the lowest (no gradient of its input)."""
    return [backward_ms * (i + 1) / num_layers for i in range(num_layers)]


def end_of_sums(buckets: list[Bucket], ends: list[float], cost: SumCost, overlap: bool, on_stream: bool) -> float:
    """When the last sum is done, in ms since backward of the last micro-batch started."""
    over = ends[-1]
    ready = [ends[bucket.layers_done - 1] if overlap else over for bucket in buckets]
    if on_stream:
        end = 0.0
        for bucket, start in zip(buckets, ready):
            end = max(end, start) + cost.alone_ms(bucket.num_bytes)
        return end
    looks = ends if overlap else [over]

    def seen(time: float) -> float:
        return time if time >= over else min(look for look in looks if look >= time)

    # (time, bucket, hops done), earliest first; equal times in the order of the buckets
    events = [(start, index, 0) for index, start in enumerate(ready)]
    heapq.heapify(events)
    link_free = last = 0.0
    while events:
        time, index, done = heapq.heappop(events)
        if done == cost.hops:
            last = max(last, time)
            continue
        link_free = max(link_free, time) + buckets[index].num_bytes * cost.ms_per_byte
        arrived = link_free + cost.latency_ms
        heapq.heappush(events, (arrived if done + 1 == cost.hops else seen(arrived), index, done + 1))
    return last


def exposed_ms(buckets: list[Bucket], backward_ms: float, num_layers: int, cost: SumCost, overlap: bool = True, on_stream: bool = False) -> float:
    """What is left of the sums when backward, of the last micro-batch, is over."""
    if not buckets or cost.hops == 0:
        return 0.0
    return max(0.0, end_of_sums(buckets, layer_ends(backward_ms, num_layers), cost, overlap, on_stream) - backward_ms)
