#!/usr/bin/env bash
# Runs each row of the table of targets in docs/PERFORMANCE.md a number of times and prints every figure, for medians and spreads.
#
#   cargo build --release && bench/targets.sh [RUNS] [DIRECTORY]
#
# Needs jq. Server and generator have a core each (--embedded); DIRECTORY is on the disk that is meant. On an otherwise idle machine, or the figures are noise.
set -euo pipefail
runs=${1:-5}
directory=${2:-${TMPDIR:-/tmp}}
tidemill=${TIDEMILL:-target/release/tidemill}
steady=(--retention 256MiB --warm-up 3s --duration 6s)

# row NAME JQ-EXPRESSION SCENARIO OPTIONS…: one line with the median, the least and the most of the expression.
row() {
    local name=$1 expression=$2
    shift 2
    for _ in $(seq "$runs"); do
        "$tidemill" bench "$@" --embedded --embedded-data "$directory" --json 2>/dev/null | jq "$expression"
    done | jq -rs --arg name "$name" \
        'sort | "\($name): median \(.[length / 2 | floor]), \(.[0]) to \(.[-1]), \(length) runs"'
}

cost='.parts[-1].cpu.server.seconds_per_gigabyte'
per_core='.parts[-1] | .records_per_second / .cpu.server.cores'
share='[.ceilings[].share_percent] | max'
written=(produce --ack written "${steady[@]}")
durable=(produce --ack durable "${steady[@]}")

row 'produce 1 KB x 1,000 written, % of ceiling' "$share" "${written[@]}" --ceiling
row 'produce 1 KB x 1,000 written, server s/GB' "$cost" "${written[@]}"
row 'produce 100 B x 1,000 written, % of ceiling' "$share" "${written[@]}" --record-bytes 100 --ceiling
row 'produce 100 B x 1,000 written, records/s per server core' "$per_core" "${written[@]}" --record-bytes 100
# The lower ceiling gives the higher share.
row 'produce durable 64 in flight, % of the lower ceiling' "$share" "${durable[@]}" --in-flight 64 --ceiling
row 'single 1 KB durable, 16 x 250, appends/s per server core' "$per_core" \
    "${durable[@]}" --batch-records 1 --connections 16 --in-flight 250
row 'single 1 KB written, one connection, appends/s per server core' "$per_core" \
    "${written[@]}" --batch-records 1 --in-flight 512
row 'consume warm 1 MB, % of ceiling' "$share" consume --warm-up 1s --duration 6s --ceiling

# Half of what a closed loop of the same shape reaches.
shape=(--ack written --batch-records 100 --in-flight 64 "${steady[@]}")
most=$("$tidemill" bench produce "${shape[@]}" --embedded --embedded-data "$directory" --json 2>/dev/null |
    jq '.parts[0].records_per_second / 2 | floor')
for percentile in p99 p99.9; do
    row "latency written at $most records/s, $percentile us" ".parts[-1].latency_us[0][\"$percentile\"]" \
        produce "${shape[@]}" --rate "$most"
done

row 'latency durable 1 in flight, p50 us' '.parts[-1].latency_us[0].p50' \
    "${durable[@]}" --batch-records 1 --in-flight 1
for _ in $(seq "$runs"); do
    "$tidemill" bench ceiling disk --directory "$directory" --json 2>/dev/null | jq .flush_us.p50
done | jq -rs 'sort | "raw flush of 4 KiB, p50 us: median \(.[length / 2 | floor]), \(.[0]) to \(.[-1])"'
row 'push end to end, p50 us' '.parts[-1].latency_us[-1].p50' \
    mixed --rate 500 --batch-records 1 --ack written --duration 6s
row '10,000 idle subscriptions, bytes each' '.memory.bytes_per_connection' \
    connections --connections 10000 --duration 10s
row '10,000 idle subscriptions, share of a core' '.parts[0].cpu.server.cores' \
    connections --connections 10000 --duration 10s
row 'quota in, error in %' '.quota[0].error_percent' quota --offer 5MB --duration 60s
row 'quota out, error in %' '.quota[1].error_percent' quota --offer 5MB --duration 60s
