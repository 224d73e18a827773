#!/usr/bin/env bash
# Runs the tests of Bazel with a current Bazel, that of Debian forky, in a root of its own: as root, on Debian.
#   tests/hosts/bazel7.sh [FOLDER]    FOLDER (1.6 GB) is kept; MIRROR names another archive of Debian
# It takes about six minutes, of which the root takes three.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=${1:-$(mktemp -d)/forky}
keyring=/usr/share/keyrings/debian-archive-trixie-automatic.gpg

if [ ! -x "$root/usr/bin/bazel" ]; then
  command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap
  mmdebstrap --mode=root --variant=apt --architectures=amd64 \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --setup-hook='mkdir -p "$1/usr/share/man/man1"' \
    --include=bazel-bootstrap,python3,strace,mount,libssl3t64,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5 \
    forky "$root" "deb [signed-by=$keyring] ${MIRROR:-http://deb.debian.org/debian} forky main"
fi

# a root, and no chroot, in which Bazel's sandbox could make no namespaces; folders of this machine at their own places
places=$(.venv/bin/python -c 'import os, sys, tempfile; print(os.getcwd(), os.path.realpath(".venv"), sys.base_prefix, tempfile.gettempdir())')
bazel=$(mktemp -d)/bazel
cat >"$bazel" <<END
#!/bin/bash
exec /usr/bin/unshare --mount --propagation private bash -c '
set -e; PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=\$1; at=\$PWD; shift
mount --bind "\$root" "\$root"
for place in /dev /proc /sys $places; do
  [ \$place = /usr ] || { mkdir -p "\$root\$place"; mount --rbind "\$place" "\$root\$place"; }
done
mkdir -p "\$root/.old"; cd "\$root"; pivot_root . .old; umount -l /.old; cd "\$at"
exec env PATH=/usr/bin:/bin HOME=/nonexistent bazel "\$@"' - "$root" "\$@"
END
chmod +x "$bazel"
BUILDRULES_TEST_BAZEL=$bazel .venv/bin/python -m pytest -q tests/hosts/test_bazel.py
