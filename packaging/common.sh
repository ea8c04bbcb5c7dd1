# Shared by the scripts of this folder; sourced, never run.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export SWIFT_BACKTRACE=enable=no

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# show_usage: the comment at the top of the script.
show_usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# step TEXT: closes the line of the step before with its time, and opens the next.
step_started=""
step_text=""
step() {
    step_end
    step_text=$1
    step_started=${EPOCHREALTIME/[.,]/}
    printf '==> %s\n' "$step_text"
}
step_end() {
    [ -n "$step_started" ] || return 0
    local spent=$(((${EPOCHREALTIME/[.,]/} - step_started) / 1000))
    printf '    (%d.%03d s)\n' $((spent / 1000)) $((spent % 1000))
    step_started=""
}

# swift ARGUMENT...: with temporary files of its own. SwiftPM leaves an empty folder for each manifest that it reads.
swift() {
    local place status=0
    place=$(mktemp -d)
    TMPDIR=$place command swift "$@" || status=$?
    rm -rf "$place"
    return $status
}

require_machine() {
    [ "$(id -u)" = 0 ] || die "must run as root: it installs Debian packages, and starts PostgreSQL as a user of its own"
    command -v apt-get >/dev/null || die "needs Debian 12: there is no apt-get here"
    type -P swift >/dev/null ||
        die "needs a Swift toolchain, 6.2 or newer, on the PATH (https://www.swift.org/install/linux/)"
}

# install_dependencies GROUP...: what packaging/build-dependencies lists for these groups and is not installed yet.
install_dependencies() {
    local package group missing=()
    while read -r package group _; do
        case "$package" in '' | '#'*) continue ;; esac
        [[ " $* " == *" $group "* ]] || continue
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
    done <"$root/packaging/build-dependencies"
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "    installing: ${missing[*]}"
    # The packages' own services would take ports that a user of this machine may want.
    local guard=/usr/sbin/policy-rc.d made=no
    if [ ! -e $guard ]; then
        printf '#!/bin/sh\nexit 101\n' >$guard && chmod 755 $guard && made=yes
    fi
    export DEBIAN_FRONTEND=noninteractive
    local failed=no
    apt-get update -qq >/dev/null || true
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$root/.build-packages.log" 2>&1 || failed=yes
    [ $made = no ] || rm -f $guard
    if [ $failed = yes ]; then
        tail -n 20 "$root/.build-packages.log" >&2
        die "apt-get could not install: ${missing[*]}"
    fi
    rm -f "$root/.build-packages.log"
}

# build_release [PROGRAM...]: these (by default agent and plane), with the Swift runtime linked in; sets $bin.
build_release() {
    [ $# -gt 0 ] || set -- nodeguard nodeguard-plane
    (cd "$root" && build_programs "$@") >"$root/.build-release.log" 2>&1 || {
        grep -E 'error|warning' "$root/.build-release.log" | head -n 20 >&2 || true
        tail -n 5 "$root/.build-release.log" >&2
        die "the release build failed: see .build-release.log"
    }
    rm -f "$root/.build-release.log"
    bin=$(cd "$root" && swift build -c release --static-swift-stdlib --show-bin-path)
}
build_programs() {
    local program
    for program in "$@"; do swift build -c release --static-swift-stdlib --product "$program" || return 1; done
}

# A TCP port that nobody listens on now; each call gives another one.
free_port() {
    python3 - <<'PYTHON' 2>/dev/null || perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1")->sockport'
import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])
PYTHON
}

# wait_until SECONDS COMMAND...: true as soon as the command is; false after the deadline.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        read -rt 0.05 <> <(:) || true
    done
}
