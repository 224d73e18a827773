#!/bin/sh
# A Docker Engine of a newer Debian beside the machine's own, until Ctrl-C. As root; needs mmdebstrap and unshare.
#
#   benchmarks/second_engine.sh FOLDER MIRROR [true|false]      # true (default): images in containerd's store
#
# FOLDER gets the suite (480 MB, once) and the socket FOLDER/run/second/docker.sock, for DOCKER_HOST of benchmarks, or
# DOCKER_CONTAINERD_HOST of tests/oci/docker/test_containerd_store.py. MIRROR is a Debian mirror. The engine has a
# network of its own with nothing but loopback: in the machine's it would take the other engine's bridge for its own.
set -eu
[ $# -ge 2 ] || { sed -n 2,9p "$0"; exit 2; }
folder=$(realpath -m "$1") mirror=$2 snapshotter=${3:-true}
[ -e "$folder/usr/sbin/dockerd" ] || mmdebstrap --variant=apt --include=docker.io,ca-certificates,iptables \
  --aptopt='Acquire::Check-Valid-Until "false"' --keyring=/usr/share/keyrings \
  forky "$folder" "deb $mirror forky main"
exec unshare --mount --net sh -euc '
  ip link set lo up
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount --rbind /sys "$1/sys"
  mount --rbind /dev "$1/dev"
  mkdir -p "$1/run/second" "$1/var/lib/second-$2"
  exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin dockerd --data-root "/var/lib/second-$2" \
    --exec-root /run/second/exec --pidfile /run/second/pid --host unix:///run/second/docker.sock \
    --feature "containerd-snapshotter=$2"
' sh "$folder" "$snapshotter"
