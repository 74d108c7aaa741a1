#!/usr/bin/env python3
"""bitsandbytes' NF4 on the CPU, for `bench_ops N nf4` to stand beside: GB/s of dense input quantised and of dense output dequantised, and of a copy.

  nf4_speed.py [THREADS]
"""
import sys
import time

import bitsandbytes.functional as F
import torch


def fastest(work, repeats=5):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
for dtype in (torch.bfloat16, torch.float32):
    weight = torch.randn(2048, 5632).to(dtype)
    packed, state = F.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    seconds = [fastest(lambda: F.quantize_4bit(weight, blocksize=64, quant_type="nf4")), fastest(lambda: F.dequantize_4bit(packed, state)), fastest(weight.clone)]
    quantise, dequantise, copy = (weight.nbytes / 1e9 / s for s in seconds)
    print(f"2048 x 5632 {dtype}: quantise {quantise:.2f} GB/s, dequantise {dequantise:.2f}, copy {copy:.1f}")
