#!/bin/sh
# Gets what the tests on real hosts need: Debian packages, where they are missing, and a CRIU of its
# own into the folder that is named. No service is started, no setting of the machine is changed.
set -eu
into=${1:?usage: prepare.sh FOLDER}
here=$(dirname "$0")

say() { printf '%s\n' "$*" >&2; }

missing=
for package in $(cat "$here/packages.txt"); do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { say "missing:$missing; run make hosts as root"; exit 1; }
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then  # asked before a package starts its service; taken away again
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    say "installing$missing"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $missing >/dev/null
fi
sh "$here/../../handlers/machine/get-criu.sh" "$into/criu"
