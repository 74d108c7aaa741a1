#!/usr/bin/env python3
"""Times of answers of `allreco recommend --serve`: 8 clients ask 1,000 times in all, each on a connection of its own.

  bench/recommend_http.py --dataset DATASET [--model MODEL_DIR] [--adapter DIR] [--allreco PROGRAM] [--clients 8] [--requests 1000] [--threads 2] [OPTIONS...]

DATASET comes from `allreco prepare --reviews`. Histories are three to eight items drawn at random (seed 1). Prints the time from the program's start to its first
answer, p50, p90, p99 and the largest of the answers' times, of one client alone and of all at once, answers per second, how many were lost (none may be), the memory,
and the machine's name. Further OPTIONS go to the program, such as --num_beams 20.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cpu_name():
    return re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())[1]


def start(args, options):
    command = [args.allreco, "recommend", "--model_name_or_path", args.model, "--dataset", args.dataset, "--serve", "127.0.0.1:0",
               "--threads", str(args.threads), "--log_level", "warning", *options]
    if args.adapter:
        command += ["--adapter_name_or_path", args.adapter]
    service = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    found = re.search(r":(\d+)$", service.stdout.readline().strip())
    if not found:
        sys.exit("the service did not start")
    return service, int(found[1])


def ask(port, histories, k, times, lost):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    for number, history in enumerate(histories):
        begin = time.perf_counter()
        connection.request("POST", "/recommend", json.dumps({"history": history, "k": k, "id": number}))
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status == 200 and answer["id"] == number and len(answer["recommendations"]) == k:
            times.append(1000 * (time.perf_counter() - begin))
        else:
            lost.append(answer)
    connection.close()


def quantiles(times):
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return f"p50 {cuts[49]:.0f}, p90 {cuts[89]:.0f}, p99 {cuts[98]:.0f}, at most {max(times):.0f} ms"


def memory_mib(service):
    status = pathlib.Path(f"/proc/{service.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "examples/stories260k")
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("--allreco", type=pathlib.Path, default=ROOT / "build/release/allreco")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--k", type=int, default=10)
    args, options = parser.parse_known_args()
    num_items = sum(1 for _ in (args.dataset / "items.jsonl").open())
    draw = random.Random(1)
    histories = [[draw.randrange(num_items) for _ in range(draw.randint(3, 8))] for _ in range(args.requests)]
    begin = time.perf_counter()
    service, port = start(args, options)
    lost = []
    ask(port, histories[:1], args.k, [], lost)
    first = time.perf_counter() - begin
    alone, together = [], []
    ask(port, histories[:100], args.k, alone, lost)
    begin = time.perf_counter()
    clients = [threading.Thread(target=ask, args=(port, histories[i::args.clients], args.k, together, lost)) for i in range(args.clients)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - begin
    memory = memory_mib(service)
    service.terminate()
    code = service.wait()
    print(f"{cpu_name()}, {os.cpu_count()} cores, {args.threads} threads; {num_items} items; first answer {first:.1f} s after the start")
    print(f"1 client, {len(alone)} answers: {quantiles(alone)}")
    print(f"{args.clients} clients, {len(together)} answers of {args.requests}: {quantiles(together)}; {len(together) / seconds:.1f} answers/s; "
          f"{memory} MiB at most")
    if lost or len(together) != args.requests or code != 0:
        sys.exit(f"{len(lost)} requests without an answer: {lost[:3]}; exit code {code}")
    print("none lost")


if __name__ == "__main__":
    main()
