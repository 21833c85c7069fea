#!/usr/bin/env bash
# NATS with JetStream in the foreground, in place of this shell: nats.sh DIRECTORY PORT SETTING, or nats.sh version.
#   log    as installed: written before the acknowledgement, flushed every two minutes
#   flush  sync_interval always: flushed before each acknowledgement (needs 2.10)
set -euo pipefail
program=${NATS_SERVER:-nats-server}
[[ $1 == version ]] && { "$program" --version | sed -E 's/.*v/NATS JetStream /'; exit; }
directory=$1 port=$2 setting=$3
case $setting in
log) sync= ;;
flush) sync='sync_interval: always' ;;
*) echo "nats.sh: no setting $setting" >&2; exit 2 ;;
esac
cat > "$directory/nats.conf" <<CONF
host: 127.0.0.1
port: $port
jetstream {
  store_dir: "$directory/jetstream"
  $sync
}
CONF
exec "$program" --config "$directory/nats.conf"
