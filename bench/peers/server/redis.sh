#!/usr/bin/env bash
# Redis in the foreground, in place of this shell: redis.sh DIRECTORY PORT SETTING, or redis.sh version.
#   memory  as installed: records are in memory only, with a snapshot now and then
#   log     appendonly, flushed each second
#   flush   appendonly, flushed before each acknowledgement
set -euo pipefail
[[ $1 == version ]] && { redis-server --version | sed -E 's/.*v=([^ ]+).*/Redis \1/'; exit; }
directory=$1 port=$2 setting=$3
options=(--bind 127.0.0.1 --port "$port" --dir "$directory" --daemonize no --protected-mode yes)
case $setting in
memory) ;;
log) options+=(--appendonly yes --appendfsync everysec) ;;
flush) options+=(--appendonly yes --appendfsync always) ;;
*) echo "redis.sh: no setting $setting" >&2; exit 2 ;;
esac
exec redis-server "${options[@]}"
