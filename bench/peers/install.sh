#!/usr/bin/env bash
# Installs the servers that Tidemill is compared with, from Debian's packages, as root: bench/peers/install.sh. What is there already stays as it is.
# No service is started. A release whose nats-server cannot flush before it acknowledges (before 2.10) gets the program of the next release in a folder beside the
# build's, and nothing of the system is changed for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
kept=target/peers/nats

missing=()
for package in jq redis-server rabbitmq-server nats-server; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    # Debian asks this file whether a package may start its service.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
    fi
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

version=$(nats-server --version | sed 's/.*v//')
[[ -x $kept/nats-server || $(printf '%s\n' 2.10 "$version" | sort -V | head -1) == 2.10 ]] && exit
mkdir -p "$kept"/apt/{lists,cache/archives}/partial
(
    cd "$kept"
    echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' > apt/sources.list
    own=(-o "Dir::Etc::SourceList=$PWD/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$PWD/apt/lists" -o "Dir::Cache=$PWD/apt/cache" -o APT::Sandbox::User=root)
    apt-get "${own[@]}" update
    apt-get "${own[@]}" download nats-server
    dpkg-deb --fsys-tarfile nats-server_*.deb | tar -xO ./usr/sbin/nats-server > nats-server.new
    chmod +x nats-server.new
    mv nats-server.new nats-server
    rm -rf apt nats-server_*.deb
)
