#!/usr/bin/env bash
# Tidemill's queues beside moto, the AWS of Python's tests, under one load (queues.mjs): messages are sent, received and deleted. Prints a table for docs/PERFORMANCE.md.
#
#   cargo build --release && bench/peers/queues.sh [SECONDS] [DIRECTORY] [ROUNDS]
#
# Each server is measured for SECONDS (5) in each of ROUNDS (3) in turns, fresh, on loopback ports of its own; the table holds medians. Tidemill flushes to a data directory in DIRECTORY
# before it answers; moto keeps everything in memory and loses it with its process. Servers are on SERVER_CORE (0), the load on CLIENT_CORE (1), which is what bounds Tidemill. moto is
# installed from PyPI into target/peers/moto if it is not there. Needs jq, Python with venv, and Node.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-5}
parent=${2:-${TMPDIR:-/tmp}}
rounds=${3:-3}
server_core=${SERVER_CORE:-0}
client_core=${CLIENT_CORE:-1}
tidemill=${TIDEMILL:-target/release/tidemill}
moto=target/peers/moto
moto_version=5.1.18
native_port=17670
http_port=17690
server=
directory=$(mktemp -d "$parent/tidemill-queues-XXXXXX")
results=$directory/results.jsonl

say() { echo "queues.sh: $*" >&2; }

end_server() {
    [[ -n $server ]] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
    rm -rf "$directory/data"
}

leave() {
    end_server
    rm -rf "$directory"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# begin COMMAND…: starts a server and waits until its HTTP port answers.
begin() {
    local deadline=$((SECONDS + 60))
    taskset -c "$server_core" "$@" > "$directory/log" 2>&1 &
    server=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$http_port") 2>/dev/null; do
        if ! kill -0 "$server" 2>/dev/null || ((SECONDS > deadline)); then
            say "it does not start: $*"
            tail -20 "$directory/log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# measure NAME KEPT: both workloads on the server that runs.
measure() {
    local batch
    for batch in 10 1; do
        taskset -c "$client_core" bench/peers/queues.mjs "http://127.0.0.1:$http_port/" "$seconds" "$batch" |
            jq -c --arg name "$1" --arg kept "$2" '{name: $name, kept: $kept} + .' | tee -a "$results" |
            jq -r '"  \(.name), batches of \(.batch): \(.messages_per_second | round) messages/s"' >&2
    done
}

table() {
    jq -rs 'def median: sort | .[length / 2 | floor];
        def digits: if . >= 10 then . * 10 | round / 10 else . * 100 | round / 100 end;
        "| batch | server | messages are | messages/s | send p50 / p99 | receive p50 / p99 | delete p50 / p99 |",
        "|---|---|---|---|---|---|---|",
        (group_by([-.batch, .name == "moto"])[] | . as $all |
            def of(call): "\([$all[] | call.p50] | median | digits) / \([$all[] | call.p99] | median | digits) ms";
            "| \(.[0].batch) | \(.[0].name) | \(.[0].kept) | \(map(.messages_per_second) | median | round) | " +
            "\(of(.send)) | \(of(.receive)) | \(of(.delete)) |")' "$results"
}

if [[ ! -x $moto/bin/moto_server ]]; then
    python3 -m venv "$moto"
    "$moto/bin/pip" install --quiet "moto[server]==$moto_version" >&2
fi

for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    begin "$tidemill" serve --data "$directory/data" --listen "127.0.0.1:$native_port" --http-port "$http_port" --admin-port 17699 \
        --set data.lanes=1 --set aws.authentication=off
    measure Tidemill 'flushed to the disk'
    end_server
    begin "$moto/bin/moto_server" -H 127.0.0.1 -p "$http_port"
    measure moto 'in memory'
    end_server
done

echo "$(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown), moto $("$moto/bin/pip" show moto | sed -n 's/^Version: //p')." \
    "$(nproc) cores, Linux $(uname -r), $(findmnt -n -o FSTYPE -T "$parent") at the data. Medians of $rounds rounds of $seconds s in turns, messages of 1 KB, 4 callers."
echo
table
