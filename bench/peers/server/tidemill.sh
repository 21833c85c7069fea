#!/usr/bin/env bash
# Tidemill in the foreground, in place of this shell: tidemill.sh DIRECTORY PORT SETTING, or tidemill.sh version.
#   log  as installed, on one core; whether an append is flushed first is for the client to say
set -euo pipefail
program=${TIDEMILL:-target/release/tidemill}
[[ $1 == version ]] && { "$program" --version | sed 's/^t/T/'; exit; }
directory=$1 port=$2 setting=$3
[[ $setting == log ]] || { echo "tidemill.sh: no setting $setting" >&2; exit 2; }
exec "$program" serve --json --listen "127.0.0.1:$port" --http-port 0 --admin-port 0 --data "$directory/data" --set server.cores=1
