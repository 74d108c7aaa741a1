#!/usr/bin/env python3
"""One directory, one run; and what a run does when its directory goes away.

    tests/faults/one_run.py --allreco build/release/allreco

Many starters at once give exactly one training, with the bits of one left in peace. A directory in use is refused to every
command, which names the owner and touches nothing. A dead owner's directory is taken over at once. A directory that is moved
or deleted ends its run with code 1 at the next line of metrics, and nothing is made anew.
"""
import json
import shutil
import signal
import socket
import time

import harness

SHORT = {"max_steps": 6, "save_steps": 2}
SOME_SECONDS = {"max_steps": 120, "save_steps": 40}  # longer than one starter may come after another
LONG = {"max_steps": 100000, "save_strategy": "no", "logging_steps": 1}
STARTERS = 8


def expect_code(run: harness.Run, code: int, what: str) -> str:
    found = run.wait()
    harness.expect(found == code, f"{what}: ended with {found}, expected {code}: {run.output()[-3000:]}")
    return run.output()


def hidden_files(directory) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("."))


def start_long_run(shop: harness.Workshop, name: str, ranks: int = 0) -> tuple:
    output_dir = shop.scratch / name
    shutil.rmtree(output_dir, ignore_errors=True)
    run = shop.start(shop.train_command(ranks, output_dir, LONG), shop.scratch / f"{name}.log")
    harness.expect(run.wait_until(lambda: harness.last_step(output_dir) >= 1), f"it did not begin: {run.output()[-3000:]}")
    return output_dir, run


def many_starters_give_one_run(shop: harness.Workshop) -> None:
    expected = harness.reference(shop, 0, SOME_SECONDS)
    output_dir = shop.scratch / "many"
    runs = [shop.start(shop.train_command(ranks, output_dir, SOME_SECONDS), shop.scratch / f"many-{number}.log")
            for number, ranks in enumerate([0] * (STARTERS - 2) + [2, 2])]
    codes = [run.wait() for run in runs]
    # One that starts when the winner has ended finds a finished run, which is refused as well.
    said = "\n".join(f"--- code {code}: {run.output()[-3000:]}" for run, code in zip(runs, codes))
    harness.expect(sorted(codes) == [0] + [2] * (STARTERS - 1), f"{STARTERS} starters ended with {codes}:\n{said}")
    expected.require_same(harness.Bits.of(output_dir), "one of many")
    harness.require_only_whole_checkpoints(output_dir)
    harness.expect(not hidden_files(output_dir), f"left behind: {hidden_files(output_dir)}")
    named = [run for run, code in zip(runs, codes) if code == 2 and f"on {socket.gethostname()} since 20" in run.output()]
    harness.expect(len(named) > 0, f"no refusal names its owner: {[run.output()[-500:] for run in runs]}")


def a_directory_in_use_is_refused(shop: harness.Workshop) -> None:
    output_dir, run = start_long_run(shop, "used")
    model = str(harness.MODEL)
    again = shop.train_command(0, output_dir, {**SHORT, "overwrite_output_dir": "true"})
    resuming = shop.train_command(2, output_dir, {**SHORT, "resume_from_checkpoint": "auto"})
    program = str(shop.allreco)
    rows = shop.scratch / "rows.jsonl"
    rows.write_text('{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}\n')
    others = {
        "overwrite": again, "resume": resuming,
        "evaluate": [program, "evaluate", "--model_name_or_path", model, "--dataset", str(shop.dataset), "--output_dir", str(output_dir)],
        "prepare": [program, "prepare", "--tokens", str(rows), "--vocab_size", "512", "--output_dir", str(output_dir)],
        "quantize": [program, "quantize", "--model_name_or_path", model, "--output_dir", str(output_dir)],
    }
    started = {name: shop.start(command, shop.scratch / f"second-{name}.log") for name, command in others.items()}
    for name, second in started.items():
        said = expect_code(second, 2, f"{name} in a directory in use")
        owner = f"process {run.process.pid} on {socket.gethostname()} since "
        harness.expect(owner in said, f"{name} does not name the owner ({owner}): {said[-1000:]}")
    step = harness.last_step(output_dir)
    harness.expect(run.wait_until(lambda: harness.last_step(output_dir) > step), "the run did not go on undisturbed")
    run.kill(run.process.pid, signal.SIGTERM)
    expect_code(run, 85, "the run in use")
    lines = [line["step"] for line in harness.metrics(output_dir)]
    harness.expect(lines == list(range(1, len(lines) + 1)), "metrics.jsonl has been disturbed")


def a_dead_owner_is_taken_over(shop: harness.Workshop) -> None:
    for ranks in (0, 2):
        output_dir, run = start_long_run(shop, f"dead-{ranks}", ranks)
        run.kill(run.process.pid)  # mpirun's ranks may still be dying when the next one starts
        begin = time.monotonic()
        again = shop.start(shop.train_command(2, output_dir, {**SHORT, "resume_from_checkpoint": "auto"}), shop.scratch / "again.log")
        expect_code(again, 0, f"resuming right after kill -9 of a run of {ranks} ranks ({time.monotonic() - begin:.1f} s)")
        run.process.wait()
        harness.expect(not hidden_files(output_dir), f"left behind: {hidden_files(output_dir)}")


def a_directory_that_goes_away_ends_its_run(shop: harness.Workshop) -> None:
    for name, ranks, lose in (("moved", 0, lambda path: path.rename(f"{path}-elsewhere")), ("deleted", 2, shutil.rmtree)):
        output_dir, run = start_long_run(shop, name, ranks)
        lose(output_dir)
        begin = time.monotonic()
        said = expect_code(run, 1, f"its output_dir was {name}")
        harness.expect(time.monotonic() - begin < 30, f"{name}: the run went on for {time.monotonic() - begin:.0f} s")
        harness.expect(f"output_dir = {output_dir} is no longer the directory" in said, f"{name}: does not say so: {said[-2000:]}")
        harness.expect(not output_dir.exists(), f"{name}: {output_dir} was made anew with {list(output_dir.glob('*'))}")


def a_save_does_not_make_the_directory_anew(shop: harness.Workshop) -> None:
    output_dir = shop.scratch / "saving"
    run = shop.start(shop.train_command(0, output_dir, {"max_steps": 100000, "save_steps": 5, "save_total_limit": 1,
                                                        "logging_steps": 1000000}), shop.scratch / "saving.log")
    harness.expect(run.wait_until(lambda: harness.newest_checkpoint(output_dir) >= 5), f"no checkpoint: {run.output()[-2000:]}")
    output_dir.rename(shop.scratch / "saving-elsewhere")
    said = expect_code(run, 1, "moved between saves")
    harness.expect("is no longer the directory" in said, f"does not say so: {said[-2000:]}")
    harness.expect(not output_dir.exists(), "it was made anew")
    harness.require_only_whole_checkpoints(shop.scratch / "saving-elsewhere")


def what_is_built_aside_goes_with_a_signal(shop: harness.Workshop) -> None:
    rows = shop.scratch / "many-rows.jsonl"
    with rows.open("w") as file:
        for number in range(300000):
            ids = [3 + (number * 7 + t) % 500 for t in range(24)]
            file.write(json.dumps({"input_ids": ids, "labels": [-100] * 12 + ids[12:]}) + "\n")
    target = shop.scratch / "built/DS"
    command = [str(shop.allreco), "prepare", "--tokens", str(rows), "--vocab_size", "512", "--output_dir", str(target),
               "--examples_per_shard", "1000"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        run = shop.start(command, shop.scratch / "built.log")
        aside = target.parent / f".DS.tmp-{run.process.pid}"
        harness.expect(run.wait_until(lambda: any(aside.glob("*.part"))), f"nothing is built: {run.output()[-2000:]}")
        run.kill(run.process.pid, number)
        expect_code(run, 128 + number, f"prepare and {number.name}")
        harness.expect(not target.parent.exists(), f"{number.name} leaves {list(target.parent.glob('.*'))}")
    limited = shop.start(["bash", "-c", 'ulimit -f 64 && exec "$@"', "bash", *command], shop.scratch / "limited.log")
    said = expect_code(limited, 2, "prepare beyond a limit on a file's size")
    harness.expect("File too large" in said, f"does not say why: {said[-2000:]}")
    harness.expect(not target.parent.exists(), f"it leaves {list(target.parent.glob('.*'))}")


def a_signal_at_the_very_start_is_held(shop: harness.Workshop) -> None:
    """The run saves after its first step, or has not begun and is told so later."""
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        for milliseconds in (20, 40, 60, 100, 150, 200):
            output_dir = shop.scratch / f"early-{number.name}-{milliseconds}"
            command = shop.train_command(0, output_dir, LONG)
            run = shop.start(command[command.index(str(shop.allreco)):], shop.scratch / "early.log")  # no env(1) in between
            time.sleep(milliseconds / 1000)
            run.kill(run.process.pid, number)
            expect_code(run, 85, f"{number.name} after {milliseconds} ms")
            harness.expect(harness.newest_checkpoint(output_dir) >= 1, f"{number.name} after {milliseconds} ms: nothing is saved")


CASES = [many_starters_give_one_run, a_directory_in_use_is_refused, a_dead_owner_is_taken_over,
         a_directory_that_goes_away_ends_its_run, a_save_does_not_make_the_directory_anew,
         what_is_built_aside_goes_with_a_signal, a_signal_at_the_very_start_is_held]


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--only", default="", help="the cases whose names contain this")
    options = options.parse_args()
    with harness.workshop(options) as shop:
        for case in CASES:
            if options.only in case.__name__:
                case(shop)
                print(f"{case.__name__}: as expected", flush=True)


if __name__ == "__main__":
    harness.main(work)
