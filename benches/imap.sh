#!/bin/sh
# IMAP row by row beside Debian's Dovecot 2.3: the same load over TLS on the same machine in one run; medians and
# ratios in benches/results/imap-DATE.json and .md. As root, for Dovecot does not start otherwise; it is installed when
# missing. About a quarter of an hour. The data lies on the checkout's own disk.
#
#   benches/imap.sh                   every row, once for each server; within a row, what is quick is repeated
#   RUNS=3 benches/imap.sh            three times, alternating
#   SCALE=50 benches/imap.sh          a fiftieth of the load: a try-out
#   SERVERS="pli dovecot-mdbox"       only these
#   ROWS="fill list"                  only these (all but logins, change, bodies, exists and idle need fill)
#   HUGE="pli dovecot-mdbox"          for which servers a mailbox of a million is made ("" for none)
#   RESULTS=DIR                       writes there instead
#   BUILD=no                          takes the binaries as they are; PROFILE=debug, the debug ones
set -eu
cd "$(dirname "$0")/.."
RUNS=${RUNS:-1}
SCALE=${SCALE:-1}
OFFSET=${OFFSET:-29000}
RESULTS=${RESULTS:-benches/results}
TARGET=${CARGO_TARGET_DIR:-target}
PROFILE=${PROFILE:-release}
SERVERS=${SERVERS:-"pli dovecot-mdbox dovecot-maildir"}
ROWS=${ROWS:-"logins fill list search change bodies exists idle select"}
HUGE=${HUGE-"pli dovecot-mdbox"}
ACCOUNTS=20
PASSWORD=bench-password-1
# A row that takes longer is given up, and its figures are not there.
ROW_SECONDS=${ROW_SECONDS:-240}

built="binaries taken as they were, commit unknown"
if [ "${BUILD:-yes}" != no ]; then
    built="commit $(git describe --always --dirty --exclude '*')"
    cargo build --profile "$([ "$PROFILE" = debug ] && echo dev || echo "$PROFILE")" --locked \
        --package pli --package pli-benches
fi
PLI=$TARGET/$PROFILE/pli
BENCH=$TARGET/$PROFILE/pli-bench
. benches/dovecot.sh
case $SERVERS in *dovecot*) dovecot_install ;; esac

work=$(mktemp -d "$PWD/.bench-XXXXXX")
chmod 755 "$work"
server=
stop() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    # A server that does not end in time is killed, with the processes that it has started.
    tries=0
    while kill -0 "$server" 2>/dev/null && [ $tries -lt 300 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    if kill -0 "$server" 2>/dev/null; then
        echo "$name did not end by itself" >&2
        kill -KILL "$server" 2>/dev/null || true
    fi
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

count() {
    scaled=$(($1 / SCALE))
    [ "$scaled" -gt "$2" ] && echo "$scaled" || echo "$2"
}
BIG=$(count 100000 200)
TIMES=10

imaps=$((OFFSET + 993)) lmtp=$((OFFSET + 24))
lines=$work/lines
: >"$lines"
failed=

# One part, within its time; what it prints is one line of figures.
bench() {
    began=$(date +%s)
    if timeout -k 5 "$ROW_SECONDS" "$BENCH" --json --imap-port $imaps --accounts $ACCOUNTS --password $PASSWORD \
        --pid "$server" side --server "$name" "$@" >>"$lines"; then
        echo "run $run, $name: $* ($(($(date +%s) - began)) s)" >&2
    else
        echo "run $run, $name: $*: FAILED after $(($(date +%s) - began)) s" >&2
        failed="$failed; $name $1"
        return 1
    fi
}

start() {
    case $name in
    pli) "$PLI" serve --config "$dir/pli.toml" 2>>"$dir/serve.log" & ;;
    *) dovecot -F -c "$dir/dovecot.conf" & ;;
    esac
    server=$!
    if ! timeout 60 "$BENCH" --imap-port $imaps --password $PASSWORD side --server "$name" ready; then
        tail -n 20 "$dir/serve.log" "$dir/log" 2>/dev/null >&2 || true
        exit 1
    fi
}

configure() {
    "$PLI" quickstart --dir "$work/pli" --domain example.org --hostname mail.example.org \
        --listen 127.0.0.1 --port-offset "$OFFSET" --json >/dev/null
    # One account has all sessions here; Dovecot's limit is raised as well.
    sed -i 's/^connections_per_account_max = .*/connections_per_account_max = 100000/' "$work/pli/pli.toml"
    case $name in
    pli)
        dir=$work/pli
        # Accounts are added by the running server.
        "$PLI" serve --config "$dir/pli.toml" 2>>"$dir/serve.log" &
        server=$!
        tries=0
        until "$PLI" health --config "$dir/pli.toml" >/dev/null 2>&1; do
            tries=$((tries + 1))
            [ $tries -lt 300 ] || exit 1
            sleep 0.1
        done
        for number in $(seq -w 0 $((ACCOUNTS - 1))); do
            echo $PASSWORD | "$PLI" account add "bench$number@example.org" --password-stdin --quota unlimited \
                --config "$dir/pli.toml" >/dev/null
            app=$("$PLI" app-password add "bench$number@example.org" --label bench --json --config "$dir/pli.toml" |
                sed -n 's/.*"password": *"\([^"]*\)".*/\1/p') || true
            [ -z "$app" ] || echo "bench$number@example.org $app" >>"$dir/quick"
        done
        stop
        ;;
    *)
        # The same certificate for all.
        dir=$work/$name
        dovecot_configure "$dir" "${name#dovecot-}" $imaps $lmtp $ACCOUNTS $PASSWORD \
            "$work/pli/tls/cert.pem" "$work/pli/tls/key.pem"
        ;;
    esac
}

# Failure of a row ends neither the server's other rows nor the run.
rows() {
    for row in $ROWS; do
        case $row in
        logins)
            bench logins --what argon2id --logins "$(count 400 40)" || true
            [ ! -s "$dir/quick" ] || bench logins --what quick --credentials "$dir/quick" --logins "$(count 400 40)" || true
            ;;
        fill) bench fill --messages "$BIG" || true ;;
        list) bench list --messages "$BIG" || true ;;
        search)
            patience=0
            [ "$name" != pli ] || patience=$((ROW_SECONDS - 60))
            bench search --messages "$BIG" --index-s $patience || true
            ;;
        change) bench change --messages "$(count 10000 100)" --alone "$(count 1000 20)" || true ;;
        bodies) bench bodies --messages "$(count 2000 50)" || true ;;
        exists) bench exists --lmtp-port $lmtp --messages "$(count 100 10)" || true ;;
        idle)
            # In a new process: memory that earlier load has left free inside one would hide what sessions take.
            stop
            start
            # Dovecot has processes for each: fewer of them tell as much.
            sessions=300
            [ "$name" != pli ] || sessions=1000
            bench idle --sessions "$(count $sessions 20)" --settle 3 || true
            # As many as an office has, and a message to each account: every session is told.
            if [ "$name" = pli ]; then
                stop
                start
                bench idle --sessions "$(count 5000 20)" --logins 8 --settle 1 --deliver-to $lmtp || true
            fi
            ;;
        select)
            case " $HUGE " in
            *" $name "*)
                if bench grow --messages "$BIG" --times $TIMES; then
                    stop
                    start
                    bench select --messages $((BIG * TIMES)) || true
                fi
                ;;
            esac
            ;;
        esac
    done
}

busy=$(cut -d ' ' -f 1-3 /proc/loadavg)
run=1
while [ "$run" -le "$RUNS" ]; do
    for name in $SERVERS; do
        configure
        start
        rows
        stop
        if [ "$name" = pli ]; then
            timeout "$ROW_SECONDS" "$PLI" store verify --config "$dir/pli.toml" >/dev/null || failed="$failed; store verify"
        fi
        rm -rf "$work/pli" "$dir"
    done
    run=$((run + 1))
done

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo)
version=$(dovecot --version 2>/dev/null || echo "not here")
"$BENCH" side report --out "$RESULTS" --date "$(date +%F)" \
    --about "$(nproc) cores ($cpu), $memory GB, Linux $(uname -r), generator on the same machine" \
    --about "$built; Dovecot $version as Debian ships it, fsync as shipped, no search index; $RUNS runs, load divided by $SCALE" \
    --about "argon2id: Pli's parameters in all servers (m=19456, t=2, p=1); quick: app passwords of Pli (keyed hash), of Dovecot what doveadm pw makes (bcrypt, cost 5)" \
    --about "load average before the first run: $busy; given up: ${failed:-none}" "$lines"
[ -z "$failed" ]
