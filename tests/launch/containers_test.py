#!/usr/bin/env python3
"""The recipes for containers and Spack, against setup.sh, CMakeLists.txt and the built program, so that none of them falls behind.

    tests/launch/containers_test.py --program build/release/src/cli/allreco_program
    ALLRECO_BUILD_CONTAINERS=1 tests/launch/containers_test.py ...     # also builds and runs them, where docker, podman or apptainer works

The libraries that the program needs are looked up with dpkg, on the release that the recipes are made from; elsewhere it says that they were not.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lint"))
import tree  # noqa: E402

DOCKERFILE = ROOT / "launch/containers/Dockerfile"
DEFINITION = ROOT / "launch/containers/allreco.def"
FOR_SCRIPTS = {"openmpi-bin", "procps", "python3"}  # what launch/*.sh call
OF_EVERY_BASE = {"libc6", "libstdc++6", "libgcc-s1"}  # libstdc++6 comes with any C++ library of the list
# What each package of setup.sh is to Spack; None: the compiler's, the base system's, or for lint alone.
SPACK = {"g++": None, "cmake": "cmake", "ninja-build": "ninja", "pkg-config": "pkgconf", "ccache": None, "python3": "python", "python3-venv": None,
         "ca-certificates": None, "openmpi-bin": "openmpi", "libopenmpi-dev": "openmpi", "libhdf5-dev": "hdf5", "libsentencepiece-dev": "sentencepiece",
         "libboost-program-options-dev": "boost", "libspdlog-dev": "spdlog", "libfmt-dev": "fmt", "nlohmann-json3-dev": "nlohmann-json",
         "zlib1g-dev": "zlib", "libssl-dev": "openssl", "libpcre2-dev": "pcre2", "libicu-dev": "icu4c", "libcpp-httplib-dev": "cpp-httplib",
         "libsimdjson-dev": "simdjson", "libisal-dev": "isa-l", "libzstd-dev": "zstd",
         "libgtest-dev": "googletest", "clang-format-14": None, "clang-tidy-14": None, "shellcheck": None}


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def joined(path: pathlib.Path) -> str:
    """Without comments; continued lines are one."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", " ", "\n".join(lines))


def installed(text: str) -> set[str]:
    """The packages of the one apt-get install."""
    found = re.findall(r"apt-get install -y --no-install-recommends([^\n&]*)", text)
    expect(len(found) == 1, f"one apt-get install is expected beside setup.sh, there are {len(found)}")
    return set(found[0].split())


def packages_of_setup() -> set[str]:
    return set(re.search(r"^PACKAGES=\((.*?)\)", (ROOT / "launch/setup.sh").read_text(), re.M | re.S)[1].split())


def both_recipes_are_the_same() -> None:
    docker, apptainer = joined(DOCKERFILE), joined(DEFINITION)
    base = re.search(r"^ARG BASE=(\S+)", docker, re.M)[1]
    expect(re.fullmatch(r"debian:\d+\.\d+(-slim)?|\S+@sha256:[0-9a-f]{64}", base) is not None, f"the base image {base} is not pinned")
    expect(re.findall(r"^FROM (\S+)", docker, re.M) == ["${BASE}"] * 2, "Dockerfile: both stages start from BASE")
    expect(re.findall(r"^From: (\S+)", apptainer, re.M) == [base] * 2, "allreco.def: both stages start from the Dockerfile's base")
    expect(installed(docker) == installed(apptainer), f"other packages: {installed(docker) ^ installed(apptainer)}")
    for recipe, preset in ((docker, "$PRESET"), (apptainer, "{{ preset }}")):
        steps = [f'if [ "{preset}" = cuda ]; then launch/setup.sh --cuda; else launch/setup.sh; fi', f'launch/build.sh "{preset}" --target allreco',
                 f'cmake --install "build/{preset}" --prefix /usr/local/allreco']
        expect(all(step in recipe for step in steps), f"a step is missing: {[step for step in steps if step not in recipe]}")
        expect("pip" not in recipe and ":latest" not in recipe, "wheels are setup.sh's, and nothing is the latest")
    users = re.findall(r"^USER (\S+)", docker, re.M)
    expect(users == ["allreco"] and docker.index("USER allreco") < docker.index("ENTRYPOINT"), f"the image runs as {users or 'root'}")


def the_recipes_copy_what_there_is() -> None:
    tops = {path.parts[0] for path in tree.repository_files(ROOT) if not path.parts[0].startswith(".")}
    copied = re.findall(r"^  (\S+) /src/allreco/$", DEFINITION.read_text(), re.M)
    expect(set(copied) == tops and len(copied) == len(tops), f"allreco.def copies others than the repository has: {set(copied) ^ tops}")
    ignored = set((ROOT / ".dockerignore").read_text().split())
    expect(not ignored & tops and {".venv", "build"} <= ignored, f".dockerignore: {ignored}")


def the_image_has_the_program_s_libraries(program: pathlib.Path) -> None:
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    if (release.get("ID"), release.get("VERSION_ID", "").strip('"')) != ("debian", "12"):
        print(f"this is {release.get('PRETTY_NAME')}, not the recipes' Debian 12: packages are not compared")
        return
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout))
    places = dict(re.findall(r"(\S+) => (\S+)", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout))
    owners = set()
    for library in needed:
        path = places.get(library, "")
        # Packages from before /lib became a link to /usr/lib name the old place.
        for place in {path, os.path.realpath(path), os.path.realpath(path).removeprefix("/usr")} if path else ():
            found = subprocess.run(["dpkg", "-S", place], capture_output=True, text=True, check=False).stdout
            owners |= {line.split(":")[0] for line in found.splitlines()}
    expect(len(owners) > 5, f"dpkg knows no libraries of {program}: {places}")
    image = installed(joined(DOCKERFILE))
    expect(owners - OF_EVERY_BASE <= image, f"the image lacks {owners - OF_EVERY_BASE - image}")
    expect(image <= owners | FOR_SCRIPTS, f"the image has what nothing needs: {image - owners - FOR_SCRIPTS}")


def spack_has_what_apt_has() -> None:
    packages = packages_of_setup()
    expect(packages == set(SPACK), f"setup.sh's packages and this test's: {packages ^ set(SPACK)}")
    specs = re.findall(r"^  - ([a-z0-9-]+)", (ROOT / "launch/spack.yaml").read_text(), re.M)
    expect(set(specs) == {spec for spec in SPACK.values() if spec}, f"spack.yaml: {set(specs) ^ {spec for spec in SPACK.values() if spec}}")


def the_page_has_every_dependency() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text() + (ROOT / "tests/CMakeLists.txt").read_text()
    names = set(re.findall(r"find_package\((\w+)", cmake))
    names |= {module for modules in re.findall(r"pkg_check_modules\(\w+ REQUIRED(?: IMPORTED_TARGET)? ([^)]*)\)", cmake) for module in modules.split()}
    table = [line.split("|")[1] for line in (ROOT / "docs/install.md").read_text().splitlines() if line.startswith("| ")]
    rows = {word for cell in table for word in re.findall(r"[\w.+-]+", cell)}
    expect(len(names) > 10 and names <= rows, f"docs/install.md does not say where to find {names - rows}")


def they_build_and_run() -> None:
    if os.environ.get("ALLRECO_BUILD_CONTAINERS") != "1":
        print("containers are not built: ALLRECO_BUILD_CONTAINERS=1 asks for it (half an hour)")
        return
    ran = []
    for tool in ("docker", "podman"):
        if shutil.which(tool) and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0:
            subprocess.run([tool, "build", "-f", DOCKERFILE, "-t", "allreco-test", ROOT], check=True)
            subprocess.run([tool, "run", "--rm", "--entrypoint", "bash", "allreco-test", "-ec", QUICKSTART], check=True)
            ran.append(tool)
    if shutil.which("apptainer"):
        image = ROOT / "build/allreco.sif"
        subprocess.run(["apptainer", "build", "--force", image, DEFINITION], check=True, cwd=ROOT)
        subprocess.run(["apptainer", "exec", "--contain", image, "bash", "-ec", "cd $(mktemp -d) && ln -s /usr/local/allreco/share/allreco/* .\n" + QUICKSTART],
                       check=True)
        ran.append("apptainer")
    print(f"built and run by {', '.join(ran) or 'nobody: no docker, podman or apptainer works here'}")


# README's commands.
QUICKSTART = """
test "$(id -u)" != 0
build/release/allreco doctor
build/release/allreco prepare --reviews examples/gift-cards/reviews.json.gz --metadata examples/gift-cards/metadata.json.gz \\
  --tokenizer examples/stories260k --output_dir DS
launch/run.sh -n 2 -- train --config configs/quickstart.cfg --model_name_or_path examples/stories260k --dataset DS --output_dir OUT --max_steps 4
launch/run.sh -n 2 -- evaluate --model_name_or_path examples/stories260k --adapter_name_or_path OUT --dataset DS --split test --max_eval_samples 8 --output_dir EV
build/release/allreco report OUT EV --output report.html
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, required=True)
    program = parser.parse_args().program
    for case in (both_recipes_are_the_same, the_recipes_copy_what_there_is, lambda: the_image_has_the_program_s_libraries(program), spack_has_what_apt_has,
                 the_page_has_every_dependency, they_build_and_run):
        case()
    print("the recipes agree with setup.sh, CMakeLists.txt and the program")


if __name__ == "__main__":
    main()
