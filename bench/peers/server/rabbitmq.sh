#!/usr/bin/env bash
# RabbitMQ with its stream plugin in the foreground: rabbitmq.sh DIRECTORY PORT SETTING, or rabbitmq.sh version.
#   log  as installed: written before the confirmation. Streams are never flushed by RabbitMQ, so there is no other setting.
# Takes the two ports after PORT as well, and needs the node's port mapper on the one after those: rabbitmq.sh DIRECTORY PORT epmd.
set -euo pipefail
[[ $1 == version ]] && { dpkg-query -W -f '${Version}' rabbitmq-server | sed -E 's/-.*//; s/^/RabbitMQ streams /'; exit; }
directory=$1 port=$2 setting=$3
export ERL_EPMD_PORT=$((port + 3)) ERL_EPMD_ADDRESS=127.0.0.1
case $setting in
log) ;;
# Otherwise the node starts one that outlives it.
epmd) exec epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 ;;
*) echo "rabbitmq.sh: no setting $setting" >&2; exit 2 ;;
esac
cat > "$directory/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$((port + 1))
stream.listeners.tcp.1 = 127.0.0.1:$port
stream.advertised_host = 127.0.0.1
stream.advertised_port = $port
log.console = true
log.file = false
CONF
echo '[rabbitmq_stream].' > "$directory/enabled_plugins"
# The cookie of the node goes there.
export HOME=$directory
export RABBITMQ_NODENAME=peers@localhost RABBITMQ_DIST_PORT=$((port + 2)) RABBITMQ_CONF_ENV_FILE=/dev/null
export RABBITMQ_CONFIG_FILE=$directory/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$directory/enabled_plugins
export RABBITMQ_MNESIA_BASE=$directory/node RABBITMQ_LOG_BASE=$directory RABBITMQ_PID_FILE=$directory/pid
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
# With this the script becomes the node, instead of staying to pass signals on.
export RUNNING_UNDER_SYSTEMD=true
# Not the program in the path, which changes to a user who owns none of these directories.
exec /usr/lib/rabbitmq/bin/rabbitmq-server
