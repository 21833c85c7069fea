#!/usr/bin/env bash
# Starts a server and has two workers of the Kinesis Client Library follow a stream of it that is split and merged, by GetRecords and by SubscribeToShard.
#
#   tools/cli/tests/aws/kcl.sh
#
# Needs java (17 or newer; Debian: default-jre-headless), python3 with venv, and PyPI, from which the library and moto, for its leases, go into target/.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../../.."
cargo build --quiet --package tidemill-cli
programs=target/tmp/aws-kcl
if ! cmp --silent "$here/requirements-kcl.txt" "$programs/installed.txt"; then
    python3 -m venv --clear "$programs"
    "$programs/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements-kcl.txt"
    cp "$here/requirements-kcl.txt" "$programs/installed.txt"
fi

directory=$(mktemp -d)
server=
leave() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

export AWS_ACCESS_KEY_ID=AKIDTOUR AWS_SECRET_ACCESS_KEY=tour/secret AWS_DEFAULT_REGION=us-east-1
export TIDEMILL_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID TIDEMILL_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
port=${TIDEMILL_KCL_PORT:-17690}
target/debug/tidemill serve --data "$directory/data" --listen 127.0.0.1:0 --admin-port=0 --http-port="$port" > "$directory/log" 2>&1 &
server=$!
for ((attempt = 0; attempt < 300; attempt++)); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        break
    fi
    kill -0 "$server" 2>/dev/null || { cat "$directory/log" >&2; exit 1; }
    sleep 0.1
done
export AWS_ENDPOINT_URL=http://127.0.0.1:$port
for mode in POLLING FANOUT; do
    "$programs/bin/python" "$here/kcl.py" "$mode"
done
