#!/usr/bin/env bash
# Tidemill beside Redis Streams, NATS JetStream and RabbitMQ streams, with one workload: prints a table for docs/PERFORMANCE.md.
#
#   cargo build --release && bench/peers/run.sh [RECORDS] [DIRECTORY] [ROUNDS]
#
# RECORDS are what is appended of 1 KB, ten times as many of 100 B; a part that takes longer than SECONDS_MAX (8) ends there. DIRECTORY is on the disk that is
# meant. As many go before the measured part, within a quarter of that time. In each of ROUNDS (3) the servers take turns, one at a time, each fresh, on a loopback port of its own with a data directory that goes with it; the
# table holds medians. Servers are on SERVER_CORE (0), clients on CLIENT_CORE (1). SYSTEMS names some of "tidemill redis nats rabbitmq". Installs what is
# missing, as root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
records=${1:-1000000}
parent=${2:-${TMPDIR:-/tmp}}
rounds=${3:-3}
seconds_max=${SECONDS_MAX:-8}
server_core=${SERVER_CORE:-0}
client_core=${CLIENT_CORE:-1}
systems=${SYSTEMS:-tidemill redis nats rabbitmq}
export TIDEMILL=${TIDEMILL:-target/release/tidemill}
servers=bench/peers/server
port=17660
# What this script has started, in that order.
processes=()
directory=$(mktemp -d "$parent/tidemill-peers-XXXXXX")
results=$directory/results.jsonl

say() { echo "run.sh: $*" >&2; }

# The last one started goes first: RabbitMQ leaves before its port mapper.
end_servers() {
    local index process tenth
    for ((index = ${#processes[@]} - 1; index >= 0; index--)); do
        process=${processes[index]}
        kill "$process" 2>/dev/null || true
        for ((tenth = 0; tenth < 100; tenth++)); do
            kill -0 "$process" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    processes=()
    rm -rf "$directory/data"
}

leave() {
    end_servers
    rm -rf "$directory"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

start() {
    local system=$1 setting=$2
    taskset -c "$server_core" "$servers/$system.sh" "$directory/data" "$port" "$setting" >> "$directory/log" 2>&1 &
    processes+=($!)
}

# begin SYSTEM SETTING: starts a server and waits until its port answers.
begin() {
    local system=$1 setting=$2 deadline=$((SECONDS + 90))
    mkdir -p "$directory/data"
    : > "$directory/log"
    [[ $system != rabbitmq ]] || start rabbitmq epmd
    start "$system" "$setting"
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        if ! kill -0 "${processes[-1]}" 2>/dev/null || ((SECONDS > deadline)); then
            say "$system does not start:"
            tail -20 "$directory/log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# keep NAME ACKNOWLEDGED WORKLOAD: takes one line of figures from standard input into the results.
keep() {
    jq -c --arg name "$1" --arg acknowledged "$2" --arg workload "$3" \
        '{name: $name, acknowledged: $acknowledged, workload: $workload} + .' | tee -a "$results" |
        jq -r '"  \(.name), \(.acknowledged), \(.workload): \(.megabytes_per_second | round) MB/s"' >&2
}

workloads=('1 KB, batches of 1,000' '100 B, batches of 1,000' '1 KB, single records')

# shape WORKLOAD: sets what client and generator are asked for, the same for both.
shape() {
    shape=(--record-bytes 1000 --batch-records 1000 --connections 1 --in-flight 8)
    count=$records
    case $1 in
    '100 B, batches of 1,000')
        shape=(--record-bytes 100 --batch-records 1000 --connections 1 --in-flight 8)
        count=$((records * 10))
        ;;
    '1 KB, single records') shape=(--record-bytes 1000 --batch-records 1 --connections 16 --in-flight 64) ;;
    esac
}

# measure CLIENT NAME ACKNOWLEDGED OPTIONS…: all workloads on the server that runs, through its usual client.
measure() {
    local client=$1 name=$2 acknowledged=$3 workload
    shift 3
    for workload in "${workloads[@]}"; do
        shape "$workload"
        taskset -c "$client_core" target/peers/release/tidemill-peers "$client" "127.0.0.1:$port" "${shape[@]}" "$@" \
            --records "$count" --warm-up "$count" --seconds-max "$seconds_max" --server-pid "${processes[-1]}" |
            keep "$name" "$acknowledged" "$workload"
    done
}

# generate ACK: the same of Tidemill by its own load generator, whose costs hardly show.
generate() {
    local ack=$1 workload
    for workload in "${workloads[@]}"; do
        shape "$workload"
        taskset -c "$client_core" "$TIDEMILL" --server "127.0.0.1:$port" bench produce "${shape[@]}" --ack "$ack" --retention 256MiB \
            --warm-up 2s --bytes $((count * shape[1])) --server-pid "${processes[-1]}" --json | jq -c '.parts[-1] | {
                records_per_second, megabytes_per_second, latency_us: (.latency_us[0] | {p50, p99, "p99.9"}),
                server_seconds_per_gigabyte: .cpu.server.seconds_per_gigabyte, server_cores: .cpu.server.cores,
                client_cores: .cpu.generator.cores}' | keep 'Tidemill, `tidemill bench`' "$ack" "$workload"
    done
}

table() {
    jq -rs --argjson workloads "$(printf '%s\n' "${workloads[@]}" | jq -R . | jq -s .)" '
        def median: sort | .[length / 2 | floor];
        def digits(n): . as $value | if $value >= 100 then round elif $value >= 10 then $value * 10 | round / 10
            else $value * 100 | round / 100 end;
        def thousands: round | tostring | [while(length > 0; .[:-3]) | .[-3:]] | reverse | join(",");
        def time: if . >= 10000 then "\(. / 1000 | round) ms" elif . >= 1000 then "\(. / 100 | round / 10) ms"
            else "\(round) µs" end;
        "| workload | server | acknowledged | MB/s | records/s | p50 | p99 | p99.9 | server s/GB | server cores | client cores |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        (. as $all | $workloads[] as $workload
            | reduce ($all[] | select(.workload == $workload)) as $line ([];
                (map(.[0].name == $line.name and .[0].acknowledged == $line.acknowledged) | index(true)) as $at
                | if $at == null then . + [[$line]] else .[$at] += [$line] end)
            | .[] | (map(.latency_us.p50) | median | time) as $p50 | (map(.latency_us.p99) | median | time) as $p99
            | (map(.latency_us["p99.9"]) | median | time) as $p999
            | "| \($workload) | \(.[0].name) | \(.[0].acknowledged) | \(map(.megabytes_per_second) | median | digits(3)) | " +
              "\(map(.records_per_second) | median | thousands) | \($p50) | \($p99) | \($p999) | " +
              "\(map(.server_seconds_per_gigabyte) | median | digits(3)) | \(map(.server_cores) | median | digits(3)) | " +
              "\(map(.client_cores) | median | digits(3)) |")' "$results"
}

bench/peers/install.sh >&2
[[ ! -x target/peers/nats/nats-server ]] || export NATS_SERVER=$PWD/target/peers/nats/nats-server
CARGO_TARGET_DIR=target/peers cargo build --release --locked --manifest-path bench/peers/driver/Cargo.toml >&2

# turn SYSTEM SETTING NAME ACKNOWLEDGED OPTIONS…: a fresh server, all workloads, and its end.
turn() {
    local system=$1 setting=$2 name=$3 acknowledged=$4
    shift 4
    [[ " $systems " == *" $system "* ]] || return 0
    begin "$system" "$setting"
    measure "$system" "$name" "$acknowledged" "$@"
    [[ $system != tidemill ]] || generate "$acknowledged"
    end_servers
}

for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    turn tidemill log Tidemill written
    turn redis memory 'Redis Streams' 'in memory (default)'
    turn redis log 'Redis Streams' 'written (appendfsync everysec)'
    turn nats log 'NATS JetStream' 'written (default)'
    turn rabbitmq log 'RabbitMQ streams' 'written (default; never flushed)'
    turn tidemill log Tidemill durable --durable
    turn redis flush 'Redis Streams' 'flushed (appendfsync always)'
    turn nats flush 'NATS JetStream' 'flushed (sync_interval always)'
done

model=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)
memory=$(awk '/MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo)
echo "$(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown). $(nproc) cores ($model), $memory GiB, Linux $(uname -r)," \
    "$(findmnt -n -o FSTYPE -T "$parent") at the data, load $(cut -d' ' -f1 /proc/loadavg) at the end. Server on one core, client on another; one stream," \
    "one shard, of which Tidemill keeps 256 MiB, as a log does that has run for a while, and the others everything. Medians of $rounds rounds in turns, at most $seconds_max s each. Batches: one connection, 8 in flight; single records: 16 connections, 64 in flight each."
versions=()
for system in tidemill redis nats rabbitmq; do versions+=("$("$servers/$system.sh" version)"); done
crates=$(cargo metadata --locked --format-version 1 --manifest-path bench/peers/driver/Cargo.toml |
    jq -r '[.packages[] | select(.name | IN("redis", "async-nats", "rabbitmq-stream-client", "tidemill-client")) | "\(.name) \(.version)"] | join(", ")')
echo "$(printf '%s; ' "${versions[@]}")clients: $crates."
echo
table
