"""Runs of the program for the tests of its report: a small training on the example data, evaluations of its base and of its
adapter, and hostile texts in what the latter quotes.

Usage: sample_runs.py ALLRECO REPOSITORY DIRECTORY
"""
import json
import pathlib
import shutil
import subprocess
import sys

HOSTILE = ("<script>document.title = 'broken'</script>", "red \x1b[31m \u202e card", '"><img src=x onerror="alert(1)">')
HOSTILE_AS_TEXT = (HOSTILE[0], r"red \x1b[31m \u202e card", HOSTILE[2])


def expect(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    expect(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def make_hostile(evaluation):
    path = evaluation / "evaluation.json"
    document = json.loads(path.read_text())
    for mistake, title in zip(document["errors"]["most_confident_mistakes"], HOSTILE):
        mistake["chosen"] = title
        mistake["prompt"] = title + "\n" + title
    document["warnings"].append(HOSTILE[0])
    path.write_text(json.dumps(document))


def make(allreco, root, directory):
    cards, model = root / "examples/gift-cards", root / "examples/stories260k"
    dataset, out = directory / "DS", directory / "OUT"
    run(allreco, "prepare", "--reviews", cards / "reviews.json.gz", "--metadata", cards / "metadata.json.gz", "--tokenizer", model,
        "--template", "amazon-next-item", "--output_dir", dataset)
    run(allreco, "train", "--model_name_or_path", model, "--dataset", dataset, "--output_dir", out, "--max_steps", 6,
        "--logging_steps", 1, "--eval_strategy", "steps", "--eval_steps", 3, "--global_batch_size", 8, "--max_eval_samples", 8,
        "--save_steps", 3, "--learning_rate", "1e-3")
    for name, adapter in (("before", []), ("after", ["--adapter_name_or_path", out])):
        run(allreco, "evaluate", "--model_name_or_path", model, *adapter, "--dataset", dataset, "--split", "test",
            "--max_eval_samples", 16, "--generate", "false", "--ranking", "exhaustive", "--output_dir", directory / name)
    make_hostile(directory / "after")


def paths(directory):
    return [directory / name for name in ("before", "OUT", "after")]


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[3])
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    make(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), target)
    print(f"runs in {target}")
