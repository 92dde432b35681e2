#!/bin/sh
# Gets a CRIU that works on new kernels, with the libraries it wants, into a folder of its own:
#   sh get-criu.sh /opt/restow/criu [suite]
# The packages come from the archive that this machine's apt uses; neither apt's lists, nor dpkg's
# status, nor any file outside the folder is touched. Remove the folder and it was never there.
set -eu
into=${1:?usage: get-criu.sh FOLDER [SUITE]}
suite=${2:-forky}

say() { printf '%s\n' "$*" >&2; }

if [ -x "$into/criu" ] && "$into/criu" --version >/dev/null 2>&1; then
    "$into/criu" --version | head -1
    exit 0
fi
for need in apt-get dpkg-deb dpkg awk; do
    command -v "$need" >/dev/null || { say "get-criu needs $need: it is for Debian"; exit 1; }
done
archive=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '$1 == "URIs:" {print $2; exit}')
[ -n "$archive" ] || archive=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    awk '$1 == "deb" {for (n = 2; n <= NF; n++) if ($n ~ /:\/\//) {print $n; exit}}')
[ -n "$archive" ] || { say "no archive in /etc/apt/sources.list or sources.list.d"; exit 1; }

rm -rf "$into"
mkdir -p "$into"
into=$(cd "$into" && pwd)
work="$into/apt"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/etc/preferences.d" "$into/root"
cat >"$work/etc/criu.sources" <<SOURCES
Types: deb
URIs: $archive
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
: >"$work/status"
apt() {
    apt-get -qq -o "Dir::State=$work" -o "Dir::State::lists=$work/lists" \
        -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache" -o "Dir::Etc=$work/etc" \
        -o "Dir::Etc::sourcelist=$work/etc/criu.sources" -o "Dir::Etc::sourceparts=-" \
        -o "APT::Architecture=$(dpkg --print-architecture)" -o "Acquire::Languages=none" \
        -o "APT::Sandbox::User=root" "$@"
}
apt update >&2
apt install --yes --no-install-recommends --download-only criu >&2
for package in "$work"/cache/archives/*.deb; do dpkg-deb --extract "$package" "$into/root"; done
loader=$(find "$into/root" -name 'ld-linux-*.so.*' | head -1)
library=$(dirname "$(find "$into/root" -name 'libc.so.6' | head -1)")
cat >"$into/criu" <<CRIU
#!/bin/sh
exec $loader --library-path $library $into/root/usr/sbin/criu "\$@"
CRIU
chmod +x "$into/criu"
rm -rf "$work"
"$into/criu" --version | head -1
