#!/bin/sh
# The store by itself, every row of its table of numbers: medians in
# benches/results/store-DATE.json and .md. The data lies on the checkout's own
# disk.
#
#   benches/store.sh                    the full rows (half an hour and more)
#   RUNS=1 SCALE=20 benches/store.sh    a twentieth of the load, once: a try-out
#   RESULTS=DIR                         writes there instead
#   BUILD=no                            takes the release binaries as they are
#   ROWS="commit view"                  only these
set -eu
cd "$(dirname "$0")/.."
RUNS=${RUNS:-3}
SCALE=${SCALE:-1}
RESULTS=${RESULTS:-benches/results}
TARGET=${CARGO_TARGET_DIR:-target}
ROWS=${ROWS:-"commit view cipher space compact growth memory"}

built="binaries taken as they were, commit unknown"
if [ "${BUILD:-yes}" != no ]; then
    built="commit $(git describe --always --dirty --exclude '*')"
    cargo build --release --locked --package pli-benches --features null-cipher
    cp "$TARGET/release/pli-bench" "$TARGET/release/pli-bench-null"
    cargo build --release --locked --package pli-benches
fi
BENCH=$TARGET/release/pli-bench

work=$(mktemp -d "$PWD/.bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
case $(stat -f -c %T "$work") in
tmpfs | ramfs)
    echo "$work is in memory: fdatasync would cost nothing" >&2
    exit 1
    ;;
esac

lines=$work/lines
bench() {
    echo "run $run: $*" >&2
    "$BENCH" --json "$@" --dir "$work" >>"$lines"
}

busy=$(cut -d ' ' -f 1-3 /proc/loadavg)
run=1
while [ "$run" -le "$RUNS" ]; do
    for row in $ROWS; do
        case $row in
        commit)
            bench store-commit --writers 1 --messages $((5000 / SCALE))
            bench store-commit --writers 16 --messages $((20000 / SCALE))
            bench store-commit --writers 64 --messages $((20000 / SCALE))
            ;;
        view) bench store-view --messages $((100000 / SCALE)) ;;
        cipher)
            echo "run $run: store-cipher without a cipher" >&2
            "$BENCH-null" --json store-cipher --messages $((10000 / SCALE)) --dir "$work" >"$work/null"
            cat "$work/null" >>"$lines"
            bench store-cipher --messages $((10000 / SCALE)) --against "$work/null"
            ;;
        # Long, and no matter of milliseconds: once.
        space)
            [ "$run" -gt 1 ] || bench store-space --messages $((100000 / SCALE))
            [ "$run" -gt 1 ] || bench store-space --messages $((100000 / SCALE)) --retention-days 1
            ;;
        compact) bench store-compact --messages $((40000 / SCALE)) ;;
        growth)
            [ "$run" -gt 1 ] || bench store-growth \
                --sizes "$((1000 / SCALE)),$((10000 / SCALE)),$((100000 / SCALE)),$((1000000 / SCALE))"
            ;;
        memory)
            [ "$run" -gt 1 ] || for index in sled fjall; do
                bench store-memory --accounts-there $((100000 / SCALE)) --messages $((1000000 / SCALE)) --index $index
            done
            ;;
        esac
    done
    run=$((run + 1))
done

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo)
"$BENCH" report --store --out "$RESULTS" --date "$(date +%F)" \
    --about "$(nproc) cores ($cpu), $memory GB, Linux $(uname -r)" \
    --about "$built, $RUNS runs (space, growth and memory once), load divided by $SCALE" \
    --about "load average before the first run: $busy" "$lines"
