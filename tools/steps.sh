# Sourced by ./serve, ./test, .ci/run and the scripts of this folder: runs long commands quietly while showing how far they are.
#
#   begin_log setup          everything from here on is kept in build/setup.log
#   total_steps=3            shown as [k/3]; steps are not numbered without it
#   step "title" command…    one step; the script ends here, with the reason, when the command fails
#   attempts=3 step …        tries it again after a pause: for what depends on a network
#
# A step prints its title, then every HEARTBEAT_S seconds the time it has taken and the last line of its output, and at the end its time.

HEARTBEAT_S=10
RETRY_PAUSE_S=5
SHOWN_LINES=30       # of the output of a step that failed
SHOWN_COLUMNS=110    # of the line shown in a heartbeat
total_steps=0
step_number=0
heartbeat_pid=

die() {
  echo "error: $*" >&2
  exit 1
}

begin_log() {
  log=$root/build/$1.log
  mkdir -p "$root/build"
  : >"$log"
}

# The last line of the log that says something; progress meters overwrite their line with carriage returns.
last_words() {
  tail -c 4000 "$log" | tr '\r' '\n' | sed -e 's/\x1b\[[0-9;]*[A-Za-z]//g' -e 's/[[:space:]]*$//' | grep -v '^$' | tail -n 1 | cut -c "1-$SHOWN_COLUMNS" || true
}

# Waiting on a pipe that nobody writes to is a sleep without a child process, which would outlive its parent and hold our output open.
heartbeat() {
  local began=$SECONDS silence
  exec {silence}<> <(:)
  while kill -0 $$ 2>/dev/null; do
    read -r -t "$HEARTBEAT_S" -u "$silence" || true
    printf '      %3d s  %s\n' $((SECONDS - began)) "$(last_words)"
  done
}

stop_heartbeat() {
  [ -n "$heartbeat_pid" ] || return 0
  kill "$heartbeat_pid" 2>/dev/null || true
  wait "$heartbeat_pid" 2>/dev/null || true
  heartbeat_pid=
}
trap stop_heartbeat EXIT

step() {
  local title=$1 began=$SECONDS tries=${attempts:-1} try status log_start
  shift
  step_number=$((step_number + 1))
  if [ "$total_steps" -gt 0 ]; then title="[$step_number/$total_steps] $title"; fi
  echo "$title"
  for ((try = 1;; try++)); do
    printf '\n== %s (attempt %d of %d): %s\n' "$title" "$try" "$tries" "$*" >>"$log"
    log_start=$(($(wc -l <"$log") + 1))
    heartbeat &
    heartbeat_pid=$!
    status=0
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    stop_heartbeat
    if [ "$status" = 0 ]; then
      printf '      done in %d s\n' $((SECONDS - began))
      return
    fi
    if ((try >= tries)); then break; fi
    echo "      failed: $(last_words)"
    echo "      trying again in $RETRY_PAUSE_S s ($try of $tries attempts made)"
    sleep "$RETRY_PAUSE_S"
  done
  echo "---- the last lines of its output:" >&2
  tail -n "+$log_start" "$log" | tail -n "$SHOWN_LINES" >&2
  echo "----" >&2
  die "failed with status $status after $((SECONDS - began)) s: $title (everything it said is in $log)"
}
