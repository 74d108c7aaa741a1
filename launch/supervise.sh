# Runs a training under mpirun and stays with it: turns stop signals into the one that ranks understand, and starts it
# again after a fault. Sourced by run.sh, after common.sh.
# shellcheck shell=bash

EXIT_USER_ERROR=2
EXIT_REQUEUE=85
MOST_FAULTS_WITHOUT_PROGRESS=3
LONGEST_DELAY_S=300

launcher=""  # process number of mpirun, while it runs
stop_requested=false

# option_value NAME ARGUMENTS...: what the program would take for it, from the command line or else its --config file; empty
# when it is not given.
option_value() {
  local name="$1" config="" value=""
  shift
  while (($# > 0)); do
    case "$1" in
      "--$name="*) value="${1#*=}" ;;
      "--$name") value="${2:-}" ;;
      --config=*) config="${1#*=}" ;;
      --config) config="${2:-}" ;;
    esac
    shift
  done
  if [[ -z "$value" && -r "$config" ]]; then
    value="$(sed -n "s/^[[:space:]]*${name}[[:space:]]*=[[:space:]]*\([^#]*[^#[:space:]]\).*$/\1/p" "$config" | tail -n 1)"
  fi
  printf '%s' "$value"
}

# without_options NAMES ARGUMENTS...: the arguments without these options (space-separated) and their values, one a line and
# ended by a zero byte.
without_options() {
  local names="$1" argument name
  shift
  while (($# > 0)); do
    argument="$1"
    name="${argument#--}"
    name="${name%%=*}"
    shift
    if [[ "$argument" == --* && " $names " == *" $name "* ]]; then
      if [[ "$argument" != *=* && $# -gt 0 ]]; then shift; fi
    else
      printf '%s\0' "$argument"
    fi
  done
}

# The step of the newest checkpoint directory in $1; 0: there is none. The program itself checks whether it is whole.
newest_checkpoint() {
  local path step newest=0
  for path in "$1"/checkpoint-*; do
    step="${path##*/checkpoint-}"
    if [[ "$step" =~ ^[0-9]+$ ]] && ((10#$step > newest)); then newest=$((10#$step)); fi
  done
  printf '%s' "$newest"
}

# How far the run in $1 has come: the newest checkpoint, or the last step in its log when that is further.
progress_of() {
  local logged newest
  newest="$(newest_checkpoint "$1")"
  logged="$(tail -n 1 "$1/metrics.jsonl" 2>/dev/null | sed -n 's/^{"step":\([0-9]*\).*/\1/p')"
  printf '%s' $((${logged:-0} > newest ? ${logged:-0} : newest))
}

# Changes whenever the program opens the directory $1 for a run.
opening_of() { stat -c '%i %y' "$1/config.cfg" 2>/dev/null || true; }

request_stop() {
  stop_requested=true
  if [[ -n "$launcher" ]]; then
    say "stop requested: the training saves and ends (kill -9 $launcher would end it at once)" >&2
    kill -USR1 "$launcher" 2>/dev/null || true
  fi
}

# Runs the command to its end and returns its exit code. mpirun gets a session of its own, because on Ctrl-C it would kill its
# ranks before they have saved; and SIGUSR1, which saves and stops, when this script is killed.
run_once() {
  local code=0
  if "$stop_requested"; then return "$EXIT_REQUEUE"; fi
  setsid setpriv --pdeathsig USR1 -- "$@" < /dev/null &
  launcher=$!
  # A signal ends `wait` early: the launcher then still runs.
  while true; do
    code=0
    wait "$launcher" || code=$?
    kill -0 "$launcher" 2>/dev/null || break
  done
  launcher=""
  return "$code"
}

# restarted_arguments OUTPUT_DIR OPENING ARGUMENTS...: sets restarted to the arguments of the next attempt. Not 0: it cannot
# be started again by itself.
restarted_arguments() {
  local output_dir="$1" opening="$2" start
  shift 2
  restarted=("$@")
  start="$(option_value resume_from_checkpoint "$@")"
  # It failed before it opened the directory: whatever lies there is another run's.
  if [[ "$(opening_of "$output_dir")" == "$opening" ]]; then return 0; fi
  if [[ -n "$start" && "$start" != auto && "$start" != last ]] && (($(newest_checkpoint "$output_dir") == 0)); then
    say "not started again: it began at $start and has not saved a checkpoint of its own" >&2
    return 1
  fi
  mapfile -d '' -t restarted < <(without_options "resume_from_checkpoint overwrite_output_dir" "$@")
  restarted+=(--resume_from_checkpoint auto --overwrite_output_dir false)
}

# supervise MAX_RESTARTS DELAY_S LAUNCH... -- TRAIN-ARGUMENTS...: runs `LAUNCH... TRAIN-ARGUMENTS...` until it ends with an
# exit code that is no fault, or restarts are used up; returns its last exit code.
supervise() {
  local max_restarts="$1" delay="$2" launch=() given restarted=() output_dir opening code restarts=0 faults=0 reached before=-1
  shift 2
  while [[ "$1" != -- ]]; do launch+=("$1"); shift; done
  shift
  given=("$@")
  restarted=("$@")
  output_dir="$(option_value output_dir "$@")"
  opening="$(opening_of "$output_dir")"
  trap request_stop INT TERM HUP USR1
  while true; do
    code=0
    run_once "${launch[@]}" "${restarted[@]}" || code=$?
    if "$stop_requested" || ((code == 0 || code == EXIT_USER_ERROR || code == EXIT_REQUEUE)); then return "$code"; fi
    if ((restarts >= max_restarts)); then
      if ((max_restarts > 0)); then say "ended with $code after $restarts restarts, as many as --max-restarts allows" >&2; fi
      return "$code"
    fi
    reached="$(progress_of "$output_dir")"
    if ((reached > before)); then faults=0; else faults=$((faults + 1)); fi
    before=$((reached > before ? reached : before))
    if ((faults + 1 >= MOST_FAULTS_WITHOUT_PROGRESS)); then
      say "ended with $code: $MOST_FAULTS_WITHOUT_PROGRESS faults in a row without a step beyond $before, not started again" >&2
      return "$code"
    fi
    restarted_arguments "$output_dir" "$opening" "${given[@]}" || return "$code"
    restarts=$((restarts + 1))
    say "ended with $code; restart $restarts of $max_restarts in $delay s, from step $(newest_checkpoint "$output_dir")" >&2
    pause "$delay"
    delay=$((2 * delay < LONGEST_DELAY_S ? 2 * delay : LONGEST_DELAY_S))
  done
}

# Waits so many seconds, or until a signal asks to stop.
pause() {
  local sleeping
  sleep "$1" &
  sleeping=$!
  wait "$sleeping" || true
  kill "$sleeping" 2>/dev/null || true
}
