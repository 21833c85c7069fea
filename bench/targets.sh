#!/usr/bin/env bash
# Runs each row of the table of targets, and prints it as a table for docs/PERFORMANCE.md: the median, the spread, the target, and whether it is met.
#
#   cargo build --release && cargo bench -p tidemill-bench --bench inner --no-run && bench/targets.sh [RUNS] [DIRECTORY] [SECONDS]
#
# RUNS (5) of SECONDS (3) each, with as long a warm-up, and the ceilings right before and after each run. DIRECTORY is on the disk that is meant. Server and
# generator have a core each (--embedded). QUOTA_SECONDS (60) is the length of the one run that tells how exact quotas are. Takes ten minutes or so, on an
# otherwise idle machine; elsewhere the figures are noise. Needs jq. A run that fails is told of and leaves a gap; then the last line says so, and the exit code is 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-5}
parent=${2:-${TMPDIR:-/tmp}}
seconds=${3:-3}
quota_seconds=${QUOTA_SECONDS:-60}
tidemill=${TIDEMILL:-target/release/tidemill}
directory=$(mktemp -d "$parent/tidemill-targets-XXXXXX")
log=$directory/log
running=
failures=0

# The server of a run goes with it, whichever way it ends.
leave() {
    if [[ -n $running ]]; then
        kill "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() { echo "targets.sh: $*" >&2; }

# perform OUTPUT COMMAND…: appends what it prints to a file, or tells that it failed. In the background, so that a signal does not wait for it.
perform() {
    local output=$1
    shift
    "$@" > "$directory/one" 2> "$log" &
    running=$!
    if wait "$running"; then
        cat "$directory/one" >> "$output"
    else
        failures=$((failures + 1))
        say "failed: $*"
        tail -5 "$log" >&2
    fi
    running=
}

# measure NAME SCENARIO OPTIONS…: all runs of one load.
measure() {
    local name=$1 run
    shift
    say "$name: $*"
    for ((run = 0; run < runs; run++)); do
        perform "$directory/$name" "$tidemill" bench "$@" --embedded --embedded-data "$directory" --json
    done
}

# row NAME WORKLOAD FIGURE LEAST|MOST TARGET EXPRESSION: a line of the table, from the runs of that name.
row() {
    local name=$1 workload=$2 figure=$3 bound=$4 target=$5 expression=$6
    touch "$directory/$name"
    jq -rs --arg workload "$workload" --arg figure "$figure" --arg bound "$bound" --argjson target "$target" '
        def short: if . == null then "–" elif . >= 1000 or . <= -1000 then round | tostring | [while(length > 0; .[:-3]) | .[-3:]] | reverse | join(",")
            elif . >= 100 then round | tostring else . * 1000 | round / 1000 | tostring end;
        [.[] | '"$expression"' | select(. != null)] | sort as $all
        | ($all | if length > 0 then .[length / 2 | floor] else null end) as $median
        | (if $median == null then "not measured" elif ($bound == "least" and $median >= $target) or ($bound == "most" and $median <= $target)
            then "met" else "**missed**" end) as $met
        | "| \($workload) | \($figure) | \($median | short) | \(if $median == null then "–" else "\($all[0] | short) – \($all[-1] | short)" end) | \(if $bound == "least" then "≥" else "≤" end) \($target | short) | \($met) |"
        ' "$directory/$name" >> "$directory/table"
}

time=(--warm-up "${seconds}s" --duration "${seconds}s")
steady=(--retention 256MiB "${time[@]}")
share='([.ceilings[].share_percent] | max)'
per_core='(.parts[-1] | .records_per_second / .cpu.server.cores)'

measure written produce --ack written "${steady[@]}" --ceiling
row written 'produce, 1,000 × 1 KB, `written`' '% of ceiling socket' least 75 "$share"
row written 'the same' 'server s/GB' most 0.45 '.parts[-1].cpu.server.seconds_per_gigabyte'
measure small produce --ack written --record-bytes 100 "${steady[@]}" --ceiling
row small 'produce, 1,000 × 100 B, `written`' '% of ceiling socket' least 60 "$share"
row small 'the same' 'records/s per server core' least 8000000 "$per_core"
measure durable produce --ack durable --in-flight 64 "${steady[@]}" --ceiling
# The lower ceiling gives the higher share.
row durable 'produce, 1,000 × 1 KB, `durable`, 64 in flight' '% of the lower of ceiling socket and disk' least 75 "$share"
measure singles-durable produce --ack durable --batch-records 1 --connections 16 --in-flight 250 "${steady[@]}"
row singles-durable 'single 1 KB records, `durable`, 16 connections × 250' 'appends/s per server core' least 250000 "$per_core"
measure singles-small produce --ack written --batch-records 1 --record-bytes 100 --in-flight 512 "${steady[@]}"
row singles-small 'single 100 B records, `written`, one connection' 'appends/s per server core' least 1000000 "$per_core"
measure singles-written produce --ack written --batch-records 1 --in-flight 512 "${steady[@]}"
row singles-written 'single 1 KB records, `written`, one connection' 'appends/s per server core' least 1000000 "$per_core"
measure consume consume "${time[@]}" --ceiling
row consume 'consume, warm, fetches of 1 MiB' '% of ceiling socket (reads)' least 75 "$share"

# Half of what a closed loop of the same shape reaches in the median of three.
shape=(--ack written --batch-records 100 --in-flight 64 "${steady[@]}")
for _ in 1 2 3; do
    perform "$directory/most" "$tidemill" bench produce "${shape[@]}" --embedded --embedded-data "$directory" --json
done
half=$(jq -s '[.[].parts[0].records_per_second] | sort | .[length / 2 | floor] // 1000 | . / 2 | floor' "$directory/most")
measure latency produce "${shape[@]}" --rate "$half"
rate=$(jq -nr --argjson half "$half" '$half / 1000 | floor')
row latency "produce, 100 × 1 KB, \`written\`, open loop at half of the maximum ($rate k records/s)" 'p99, ms' most 1 '(.parts[-1].latency_us[0].p99 / 1000)'
row latency 'the same' 'p99.9, ms' most 5 '(.parts[-1].latency_us[0]["p99.9"] / 1000)'

# Each run between two looks at the disk.
say "flush: single records, durable, one in flight, and the raw flush"
for ((run = 0; run < runs; run++)); do
    rm -f "$directory"/look
    perform "$directory/look" "$tidemill" bench ceiling disk --directory "$directory" --duration 1s --json
    perform "$directory/look" "$tidemill" bench produce --ack durable --batch-records 1 --in-flight 1 "${steady[@]}" --embedded --embedded-data "$directory" --json
    perform "$directory/look" "$tidemill" bench ceiling disk --directory "$directory" --duration 1s --json
    jq -cs '([.[] | .flush_us.p50 // empty] | add / length) as $flush | (.[] | select(.parts) | .parts[-1].latency_us[0].p50) as $append
        | select($flush > 0) | {$flush, $append}' "$directory/look" >> "$directory/flush" || true
done
row flush 'single 1 KB records, `durable`, 1 in flight' 'p50 against the raw flush p50 of the same minute' most 1.3 '(.append / .flush)'

measure push mixed --rate 500 --batch-records 1 --ack written "${time[@]}"
row push 'push, append to the subscriber, 500/s' 'p50, µs' most 100 '.parts[-1].latency_us[-1].p50'
measure idle connections --connections 10000 "${time[@]}"
row idle '10,000 idle subscribed connections' 'server memory each, KiB' most 16 '(.memory.bytes_per_connection / 1024)'
row idle 'the same' 'share of a core, %' most 2 '(.parts[0].cpu.server.cores * 100)'

say "quota check"
for ((run = 0; run < runs; run++)); do
    perform /dev/null cargo bench -q -p tidemill-bench --bench inner -- quota/admit --warm-up-time 0.5 --measurement-time 1
    jq -c . target/criterion/quota/admit/new/estimates.json >> "$directory/check" || true
done
row check 'quota check' 'ns an append' most 25 '.median.point_estimate'
say "quota: $quota_seconds s"
perform "$directory/quota" "$tidemill" bench quota --offer 5MB --duration "${quota_seconds}s" --embedded --embedded-data "$directory" --json
row quota "5 MB/s offered to a default shard, one run of $quota_seconds s" 'admitted in, % from 1 MB/s' most 1 '(.quota[0].error_percent | fabs)'
row quota 'the same' 'admitted out, % from 2 MB/s' most 1 '(.quota[1].error_percent | fabs)'

model=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)
echo "$(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown): \`bench/targets.sh $runs DIRECTORY $seconds\`, $SECONDS s in all. $(nproc) cores" \
    "($model), Linux $(uname -r), $(findmnt -n -o FSTYPE -T "$parent") at the data, load $(cut -d' ' -f1 /proc/loadavg) at the end." \
    "Medians of $runs runs of $seconds s, except where it says otherwise; the spread is from the least to the most."
echo
echo '| workload | figure | median | spread | target | |'
echo '|---|---|---|---|---|---|'
cat "$directory/table"
if ((failures)); then
    echo
    echo "$failures runs failed; what they said went to standard error."
    exit 1
fi
