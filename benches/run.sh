#!/bin/sh
# Every row, three times, on a fresh instance each time; medians in
# benches/results/DATE.json and .md. The data lies on the checkout's own disk.
#
#   benches/run.sh              the full rows (some minutes)
#   RUNS=1 SCALE=10 benches/run.sh   a tenth of the load, once: a try-out
#   RESULTS=DIR                 writes there instead
#   BUILD=no                    takes the release binaries as they are
set -eu
cd "$(dirname "$0")/.."
RUNS=${RUNS:-3}
SCALE=${SCALE:-1}
OFFSET=${OFFSET:-28000}
RESULTS=${RESULTS:-benches/results}
TARGET=${CARGO_TARGET_DIR:-target}

# Said of the tree before the build: it may move on while the rows run.
built="binaries taken as they were, commit unknown"
if [ "${BUILD:-yes}" != no ]; then
    built="commit $(git describe --always --dirty --exclude '*')"
    cargo build --release --locked --package pli --package pli-benches
fi
PLI=$TARGET/release/pli
BENCH=$TARGET/release/pli-bench

work=$(mktemp -d "$PWD/.bench-XXXXXX")
server=
stop() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

case $(stat -f -c %T "$work") in
tmpfs | ramfs)
    echo "$work is in memory: fdatasync would cost nothing" >&2
    exit 1
    ;;
esac

# Starts the server and waits until it accepts.
start() {
    "$PLI" serve --config "$dir/pli.toml" 2>>"$dir/serve.log" &
    server=$!
    tries=0
    until "$PLI" health --config "$dir/pli.toml" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
            tail -n 20 "$dir/serve.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

bench() {
    echo "run $run: $*" >&2
    "$BENCH" --ca "$dir/tls/ca.pem" --smtp-port $((OFFSET + 25)) --imap-port $((OFFSET + 993)) \
        --pid "$server" --disk "$work" --json "$@" >>"$lines"
}

# Other work on the machine takes its share: whoever reads the figures has to know.
busy=$(cut -d ' ' -f 1-3 /proc/loadavg)
files=
run=1
while [ "$run" -le "$RUNS" ]; do
    dir=$work/mail-$run
    lines=$work/lines-$run
    "$PLI" quickstart --dir "$dir" --domain example.org --hostname mail.example.org \
        --listen 127.0.0.1 --port-offset "$OFFSET" --json >/dev/null
    start
    for number in $(seq -w 0 19); do
        echo bench-password-1 | "$PLI" account add "bench$number@example.org" --password-stdin \
            --quota unlimited --config "$dir/pli.toml" >/dev/null
    done
    # The start is measured on a store that has accounts, in a new process.
    stop
    start
    sleep 1
    bench start-rss
    for connections in 1 8 32; do
        bench smtp --connections "$connections" --messages $((20000 / SCALE))
    done
    bench exists
    bench append --connections 4 --messages $((10000 / SCALE))
    bench imap-flags --messages $((100000 / SCALE))
    bench search --messages $((100000 / SCALE))
    # Idle sessions are measured in a new process too: memory that earlier
    # load has left free inside the process would hide what they take.
    stop
    start
    sleep 1
    bench idle --sessions $((1000 / SCALE))
    stop
    "$PLI" store verify --config "$dir/pli.toml" >/dev/null
    files="$files $lines"
    rm -rf "$dir"
    run=$((run + 1))
done

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo)
# shellcheck disable=SC2086
"$BENCH" report --out "$RESULTS" --date "$(date +%F)" \
    --about "$(nproc) cores ($cpu), $memory GB, Linux $(uname -r), generator on the same machine" \
    --about "$built, $RUNS runs, load divided by $SCALE" \
    --about "load average before the first run: $busy" $files
