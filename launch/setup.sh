#!/usr/bin/env bash
# Installs what allreco needs to build and run: packages through apt, and .venv with the libtorch wheel.
#
#   launch/setup.sh [--cuda] [--browser] [--no-apt]
#
#   --cuda     also the CUDA libraries that torch uses and a CUDA compiler, for the preset `cuda` (4 GB)
#   --browser  also Chromium, for the tests that open pages (120 MB); where apt has none, they are skipped
#   --no-apt   leave the system's packages alone: where an administrator or a module system provides them
#
# What is there already is not installed again, so running it twice costs a second. As another user than root it asks
# sudo for apt. PYTHON names the Python (3.10 or later) that makes .venv, by default /usr/bin/python3.
# Made for Debian 12, Ubuntu 22.04 and Ubuntu 24.04.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

PACKAGES=(
  g++ cmake ninja-build pkg-config ccache python3 python3-venv ca-certificates
  openmpi-bin libopenmpi-dev libhdf5-dev libsentencepiece-dev libboost-program-options-dev libspdlog-dev libfmt-dev
  nlohmann-json3-dev zlib1g-dev libssl-dev libpcre2-dev libicu-dev libcpp-httplib-dev
  libsimdjson-dev libisal-dev libzstd-dev
  libgtest-dev
  clang-format-14 clang-tidy-14 shellcheck
)
# The wheels are pinned: torch 2.11.0 asks for just these versions. Without their dependencies, because those are
# Python packages, and only the C++ libraries are used. The two beside torch are what libtorch_cpu.so loads.
WHEELS=(torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
# What libtorch_cuda.so loads (cusolver and nvrtc at run time only), then nvcc and the headers it wants.
CUDA_WHEELS=(
  nvidia-cublas==13.1.0.3 nvidia-cuda-nvrtc==13.0.88 nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61
  nvidia-cufile==1.15.1.6 nvidia-curand==10.4.0.35 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3
  nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9 nvidia-nvjitlink==13.0.88 nvidia-nvshmem-cu13==3.4.5
  nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85
)
VENV="$ROOT/.venv"
WHEEL_MB=1500
CUDA_WHEEL_MB=5000
with_cuda=false
with_browser=false
with_apt=true

parse_arguments() {
  while (($# > 0)); do
    case "$1" in
      --cuda) with_cuda=true ;;
      --browser) with_browser=true ;;
      --no-apt) with_apt=false ;;
      -h | --help) show_help; exit 0 ;;
      *) die 2 "unknown argument '$1'; see --help" ;;
    esac
    shift
  done
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || printf '%s ' "$package"
  done
}

run_as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

install_packages() {
  local missing
  if ! command -v dpkg-query apt-get > /dev/null; then
    die 2 "this is not Debian or Ubuntu. Install what these packages hold, then call setup.sh --no-apt: ${PACKAGES[*]}"
  fi
  read -ra missing <<< "$(missing_packages)"
  if ((${#missing[@]} == 0)); then
    say "apt packages: all ${#PACKAGES[@]} are there"
    return
  fi
  say "apt packages: installing ${missing[*]}"
  if ((EUID != 0)) && ! command -v sudo > /dev/null; then
    die 2 "no root and no sudo. Have an administrator run: apt-get install ${missing[*]}"
  fi
  run_as_root apt-get update -q || die 1 "apt-get update failed: is there a network, and may this user use sudo?"
  run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" ||
    die 1 "apt-get could not install: ${missing[*]}. On another release than Debian 12, Ubuntu 22.04 or 24.04 some" \
      "may have other names: install them by hand and call setup.sh --no-apt"
}

# Ubuntu's is a snap, which starts in no container: a browser is never required.
install_browser() {
  if command -v chromium > /dev/null; then return; fi
  if ((EUID != 0)) && ! command -v sudo > /dev/null; then
    say "no Chromium here, and no right to install it: the tests that open pages are skipped"
    return
  fi
  run_as_root apt-get update -q > /dev/null || true
  if ! apt-cache policy chromium | grep -q 'Candidate: [0-9]'; then
    say "apt has no Chromium: the tests that open pages are skipped"
    return
  fi
  say "installing chromium"
  run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium ||
    say "apt-get could not install chromium: the tests that open pages are skipped"
}

# PYTHON, or the system's: a Python of pyenv or conda would come with its own libraries.
find_python() {
  local python="${PYTHON:-}"
  if [[ -z "$python" ]]; then
    python=/usr/bin/python3
    [[ -x "$python" ]] || python="$(command -v python3)" || die 2 "no python3 here; set PYTHON to one of version 3.10 or later"
  fi
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    die 2 "$python is not a Python of version 3.10 or later; set PYTHON to one"
  printf '%s' "$python"
}

make_venv() {
  local python
  if "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    say "venv: $VENV is there"
    return
  fi
  if [[ -e "$VENV" && ! -e "$VENV/pyvenv.cfg" ]]; then
    die 2 "$VENV is in the way: it is no Python venv. Move it"
  fi
  python="$(find_python)"
  say "venv: making $VENV with $python"
  "$python" -m venv --clear "$VENV" || die 1 "$python could not make a venv (its package python3-venv, a full disk?)"
}

# A wheel is there when pip wrote INSTALLER, the last file it writes. (Asking pip itself costs a second.)
missing_wheels() {
  local wheel name file
  for wheel in "$@"; do
    name="${wheel%%==*}"
    file="$(compgen -G "$VENV/lib/python3*/site-packages/${name//-/_}-${wheel##*==}.dist-info/INSTALLER" || true)"
    [[ -n "$file" ]] || printf '%s ' "$wheel"
  done
}

install_wheels() {
  local wanted=("${WHEELS[@]}") need_mb="$WHEEL_MB" free_mb missing
  if "$with_cuda"; then
    wanted+=("${CUDA_WHEELS[@]}")
    need_mb="$CUDA_WHEEL_MB"
  fi
  read -ra missing <<< "$(missing_wheels "${wanted[@]}")"
  if ((${#missing[@]} == 0)); then
    say "wheels: all ${#wanted[@]} are there"
    return
  fi
  free_mb="$(df -Pm "$VENV" | awk 'NR == 2 {print $4}')"
  ((free_mb >= need_mb)) || die 2 "$VENV needs $need_mb MB, its disk has $free_mb MB free"
  say "wheels: installing ${missing[*]} (torch alone is a download of 540 MB)"
  # --no-compile: nobody imports torch's 2,000 Python files.
  "$VENV/bin/python" -m pip install --no-deps --no-compile --quiet --disable-pip-version-check "${missing[@]}" ||
    die 1 "pip could not install: ${missing[*]}. No network? Behind a proxy set https_proxy; for a mirror, PIP_INDEX_URL"
}

# CMake looks for the libraries of the compiler's toolkit in lib64, the wheels have them in lib.
link_cuda_libraries() {
  local cuda_root
  cuda_root="$(compgen -G "$VENV/lib/python3*/site-packages/nvidia/cu13")"
  [[ -e "$cuda_root/lib64" ]] || ln -s lib "$cuda_root/lib64"
}

# Loads a library of the wheel with all that it needs, without Python's torch.
library_loads() {
  "$VENV/bin/python" -c "
import ctypes, glob, sys
ctypes.CDLL(glob.glob('$VENV/lib/python3*/site-packages/torch/lib/$1')[0])"
}

at_least() { [[ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" == "$1" ]]; }

verify() {
  local cmake_version mpirun_flags=(--oversubscribe --bind-to none)
  ((EUID == 0)) && mpirun_flags+=(--allow-run-as-root)
  printf '#include <concepts>\n#include <span>\nstatic_assert(std::integral<int>);\n' |
    "${CXX:-c++}" -std=c++20 -x c++ -fsyntax-only - || die 1 "${CXX:-c++} does not compile C++20"
  cmake_version="$(cmake --version | awk 'NR == 1 {print $3}')" || die 1 "cmake does not start"
  at_least 3.22 "$cmake_version" || die 1 "cmake 3.22 or later is needed, found '$cmake_version'"
  ninja --version > /dev/null || die 1 "ninja does not start"
  mpirun "${mpirun_flags[@]}" -n 2 true || die 1 "mpirun cannot start 2 processes on this machine"
  library_loads libtorch_cpu.so || die 1 "libtorch does not load; remove $VENV and run setup.sh again"
  if "$with_cuda"; then
    library_loads libtorch_cuda.so || die 1 "libtorch's CUDA part does not load; remove $VENV and run setup.sh --cuda again"
  fi
  say "verified: $("${CXX:-c++}" -dumpfullversion -dumpversion) ${CXX:-c++}, cmake $cmake_version, mpirun starts, libtorch loads"
}

parse_arguments "$@"
if "$with_apt"; then install_packages; fi
if "$with_apt" && "$with_browser"; then install_browser; fi
make_venv
install_wheels
if "$with_cuda"; then link_cuda_libraries; fi
verify
say "done in $SECONDS s"
