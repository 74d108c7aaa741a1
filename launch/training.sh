# What run.sh and slurm.sbatch know about a training from the outside: its options, how far it has come, how to go on,
# and how to wait for it while signals come in. Sourced after common.sh, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts that source this use its variables

# The program's exit codes (docs/distributed.md).
readonly EXIT_USER_ERROR=2 EXIT_REQUEUE=85
# What bash reports for a launcher, or a rank, that SIGUSR1 ended before the program had begun to listen for it.
readonly EXIT_BY_USR1=$((128 + 10))
# So many faults in a row without progress end the restarts.
readonly MAX_FAULTS_WITHOUT_PROGRESS=3

is_fault() { (($1 != 0 && $1 != EXIT_USER_ERROR && $1 != EXIT_REQUEUE)); }

# The last value of an option on a command line, in all of its forms (a flag alone says true): argument_value KEY ARGUMENTS...
argument_value() {
  local key="$1" value=""
  shift
  while (($# > 0)); do
    case "$1" in
      "--$key") if [[ "${2:---}" == --* ]]; then value=true; else value="$2"; fi ;;
      "--$key="*) value="${1#*=}" ;;
    esac
    shift
  done
  printf '%s' "$value"
}

# The same from a config file (docs/formats.md).
config_value() {
  LC_ALL=C awk -v key="$1" '
    function unquoted(text,    value, c, i, digits) {
      digits = "0123456789abcdef"
      for (i = 2; i <= length(text) && (c = substr(text, i, 1)) != "\""; i++) {
        if (c == "\\") {
          c = substr(text, ++i, 1)
          if (c == "n") c = "\n"
          else if (c == "r") c = "\r"
          else if (c == "t") c = "\t"
          else if (c == "x") {
            c = sprintf("%c", 16 * (index(digits, substr(text, i + 1, 1)) - 1) + index(digits, substr(text, i + 2, 1)) - 1)
            i += 2
          }
        }
        value = value c
      }
      return value
    }
    NR == 1 { sub(/^\357\273\277/, "") }
    {
      at = index($0, "=")
      if (at == 0) next
      name = substr($0, 1, at - 1); value = substr($0, at + 1)
      gsub(/^[ \t]+|[ \t\r]+$/, "", name); gsub(/^[ \t]+|[ \t\r]+$/, "", value)
      if (name != key) next
      if (value ~ /^"/) { found = unquoted(value); next }
      sub(/#.*/, "", value); gsub(/[ \t\r]+$/, "", value)
      found = value
    } END { printf "%s", found }' "$2"
}

# What the program will see: the command line wins over the file of --config.
option_value() {
  local key="$1" value config
  shift
  value="$(argument_value "$key" "$@")"
  if [[ -z "$value" ]]; then
    config="$(argument_value config "$@")"
    # A FIFO would be waited for, for ever; the program refuses what is no file.
    if [[ -f "$config" && -r "$config" ]]; then value="$(config_value "$key" "$config")"; fi
  fi
  printf '%s' "$value"
}

# Fills `resuming` with the arguments that go on from checkpoint $1 (auto, or a directory) instead of what they said.
resuming=()
resume_arguments() {
  local from="$1"
  shift
  resuming=()
  while (($# > 0)); do
    case "$1" in
      --resume_from_checkpoint | --overwrite_output_dir) if [[ "${2:---}" != --* ]]; then shift; fi ;;
      --resume_from_checkpoint=* | --overwrite_output_dir=*) ;;
      *) resuming+=("$1") ;;
    esac
    shift
  done
  resuming+=(--resume_from_checkpoint "$from" --overwrite_output_dir false)
}

# The finished checkpoints of an output directory, oldest step first, one path a line. Those being written end in .tmp.
checkpoints_of() {
  local path step
  for path in "$1"/checkpoint-*; do
    step="${path##*/checkpoint-}"
    if [[ "$step" =~ ^[0-9]+$ ]]; then printf '%s %s\n' "$step" "$path"; fi
  done | sort -n | cut -d ' ' -f 2-
}

newest_checkpoint() { checkpoints_of "$1" | tail -n 1; }

# How far a run has come: the step of its newest checkpoint or of its last line in metrics.jsonl, whichever is larger.
progress_of() {
  local newest step logged=""
  newest="$(newest_checkpoint "$1")"
  step="${newest##*/checkpoint-}"
  if [[ -f "$1/metrics.jsonl" && -r "$1/metrics.jsonl" ]]; then
    logged="$(tail -n 2 "$1/metrics.jsonl" | sed -n 's/.*"step": *\([0-9]\{1,\}\).*/\1/p' | tail -n 1)"
  fi
  printf '%s' $((${step:-0} > ${logged:-0} ? ${step:-0} : ${logged:-0}))
}

# What tells a file or directory from a later one of the same name; empty when it is not there.
identity_of() { stat -c '%i %z' "$1" 2> /dev/null || true; }

stop_signal=""     # the name of the first signal that asked this script to stop
interrupted=false  # whether one came since this was last reset
child=""           # the launcher under way

# A stop signal, whichever, reaches the ranks as SIGUSR1: mpirun and srun hand it on and wait for them, while they would
# end the ranks on SIGINT or SIGTERM before these have saved. A second one does no harm.
stop_child() {
  interrupted=true
  stop_signal="${stop_signal:-$1}"
  say "SIG$1: stopping; the training saves first" >&2 || true  # the terminal may be gone
  if [[ -n "$child" ]]; then kill -USR1 "$child" 2> /dev/null || true; fi
}

trap_stop_signals() {
  local name
  for name in INT TERM HUP USR1; do
    # shellcheck disable=SC2064  # the name is meant to be the present one
    trap "stop_child $name" "$name"
  done
}

# Waits for `child` to its very end and leaves its exit code in exit_code. A signal makes `wait` return early with a code
# of its own; a `wait` too many returns 127 or the same code again.
exit_code=0
wait_for_child() {
  local code
  exit_code=127
  while :; do
    interrupted=false
    code=0
    wait "$child" 2> /dev/null || code=$?
    if ((code != 127)); then exit_code="$code"; fi
    "$interrupted" || break
  done
  child=""
}

# A launcher or rank that was asked to stop before it could listen has lost nothing that is on the disk: that is a stop.
settle_exit_code() {
  if [[ -n "$stop_signal" ]] && ((exit_code == EXIT_BY_USR1)); then exit_code="$EXIT_REQUEUE"; fi
}

# Starts a launcher in the background: in a session of its own, so that the terminal's Ctrl-C reaches this script alone.
# When this script is killed, the kernel sends the launcher SIGUSR1: the training saves and ends instead of going on
# unattended.
start_child() {
  local guard=(setsid)
  if [[ "$(setpriv --help 2>&1)" == *--pdeathsig* ]]; then
    guard+=(setpriv --pdeathsig USR1)
  else
    say "warning: no setpriv --pdeathsig (util-linux 2.33) here: if this script is killed, the training goes on" >&2
  fi
  "${guard[@]}" "$@" < /dev/null &
  child=$!
  # A signal that came before there was a child.
  if [[ -n "$stop_signal" ]]; then kill -USR1 "$child" 2> /dev/null || true; fi
}
