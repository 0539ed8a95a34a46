#!/usr/bin/env bash
# Run `make demo` and `make test` on bare Debian systems, as root and as a plain user, and print their times.
#
# SUITES (default "bookworm trixie") and USERS (default "root plain") select the cases:
#     make fresh SUITES=bookworm USERS=root
# The commit that is checked out is tested. Needs root, since it builds and enters root file systems with
# debootstrap and chroot; nothing outside build/fresh is changed, and mounts and processes end with their case.
set -euo pipefail
cd "$(dirname "$0")/.."

suites=${SUITES:-bookworm trixie}
users=${USERS:-root plain}
packages=python3,python3-venv,make,git,ca-certificates
certificates=/etc/ssl/certs/ca-certificates.crt
here=$PWD/build/fresh

stop() { echo "make fresh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "needs root, for debootstrap and chroot: run it as root, or in a container"
PATH=$PATH:/usr/sbin:/sbin
for tool in debootstrap chroot unshare git python3; do
  command -v $tool >/dev/null || stop "$tool is missing: apt-get install debootstrap git python3 util-linux"
done
for user in $users; do
  [[ $user == root || $user == plain ]] || stop "USERS='$users' must be of 'root' and 'plain'"
done
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "uncommitted changes are not tested"
mkdir -p "$here"

# Packages come from where this machine takes its own: the mirror and apt's way to it.
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE) $(IDENTIFIER) $(COMPONENT) $(ORIGIN)' 2>/dev/null \
  | awk '$2 == "Packages" && $3 == "main" && $4 == "Debian" { print $1; exit }')}
[ -n "$mirror" ] || stop "apt knows no mirror of Debian: run apt-get update, or set MIRROR"

# A tarball of the bare system, made once a suite.
build_tarball() {
  local suite=$1 root
  [ -s "$here/$suite.tar" ] && return
  root=$(mktemp -d "$here/$suite-XXXX")
  debootstrap --variant=minbase --include=$packages "$suite" "$root" "$mirror" >"$here/$suite-debootstrap.log" 2>&1 \
    || { tail -20 "$here/$suite-debootstrap.log" >&2; stop "debootstrap of $suite failed"; }
  chroot "$root" apt-get clean
  apt-config dump Acquire | grep -E '^Acquire::(https?::(Proxy|CaInfo)|Check-(Date|Valid-Until)|Retries)' \
    >"$root/etc/apt/apt.conf.d/90network" || true
  [ ! -s $certificates ] || cp $certificates "$root$certificates"
  # Of pip's configuration, what leads to the index: files that only this machine has stay behind.
  { echo "[global]"; python3 -m pip config list | python3 -c '
import ast, sys
wanted = ("index-url", "proxy", "trusted-host", "default-timeout", "timeout", "retries")
values = dict(line.rstrip().partition("=")[::2] for line in sys.stdin)
print(*{f"{key.split(chr(46))[-1]} = {ast.literal_eval(value)}" for key, value in values.items()
        if key.split(".")[-1] in wanted}, sep="\n")'; echo "cert = $certificates"; } >"$root/etc/pip.conf"
  echo "127.0.0.1 localhost $(hostname)" >"$root/etc/hosts"
  chroot "$root" useradd --create-home plain
  tar -C "$root" -cf "$here/$suite.tar.new" .
  mv "$here/$suite.tar.new" "$here/$suite.tar"
  rm -rf "$root"
}

# Enter a root file system as a user, with an environment of its own and nothing that outlives the command.
enter() {
  local root=$1 user=$2 home
  shift 2
  home=$(awk -F: -v user="$user" '$1 == user { print $6 }' "$root/etc/passwd")
  unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" bash -ec '
    root=$1; shift
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    exec chroot "$@"' enter "$root" --userspec="$user" "$root" /usr/bin/env -i \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" USER="$user" \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
    bash -c "cd ~/thetanet && $*" </dev/null
}

failed=0
rows=()
for suite in $suites; do
  build_tarball "$suite"
  for user in $users; do
    root=$(mktemp -d "$here/$suite-$user-XXXX")
    tar -C "$root" -xf "$here/$suite.tar"
    chmod 755 "$root"  # mktemp lets only root in
    home=$(awk -F: -v user="$user" '$1 == user { print $6 }' "$root/etc/passwd")
    git clone --quiet --no-hardlinks . "$root$home/thetanet"
    chroot "$root" chown -R "$user:" "$home/thetanet"
    for target in demo test; do
      log=$here/$suite-$user-$target.log
      start=$SECONDS
      outcome=passed
      enter "$root" "$user" make $target >"$log" 2>&1 || { outcome=FAILED; failed=1; tail -40 "$log"; }
      summary=$(grep -E '^[0-9]+ (passed|failed|skipped)|^[0-9]+ .* in [0-9.]+s' "$log" | tail -1 || true)
      rows+=("$(printf '%-9s %-6s make %-5s %-7s %5d s  %s' "$suite" "$user" $target $outcome $((SECONDS - start)) "$summary")")
      echo "${rows[-1]}"
    done
    rm -rf "$root"
  done
done
printf '\n'
printf '%s\n' "${rows[@]}"
exit $failed
