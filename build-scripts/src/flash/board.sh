# What `cargo xtask flash` does on a board, with /bin/sh: one step a call. Every change of what runs is one rename, so a power
# cut leaves the old or the new. KERF_ROOT is a folder that stands for / in tests.
set -eu
root=${KERF_ROOT:-}
base=$root/opt/kerf
state=$root/var/lib/kerf
sudo=
if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then sudo='sudo -n'; fi
say() { echo "board: $*" >&2; }

# Points a link at something else, in one rename.
swap() {
    $sudo ln -sfn "$2" "$1.next"
    $sudo mv -T "$1.next" "$1"
    sync
}

case $1 in
release)
    new=$base/releases/$2
    $sudo mkdir -p "$base/releases" "$state" "$root/etc/kerf/keys" "$root/etc/systemd/system"
    $sudo rm -rf "$new.part"
    $sudo mkdir "$new.part"
    $sudo tar -xzf - --strip-components=1 -C "$new.part"
    sync
    say "checking the new release"
    "$new.part/kerf-stage" check --backend "$3" || { say "the new release does not run here: nothing was changed"; exit 1; }
    $sudo rm -rf "$new"
    $sudo mv -T "$new.part" "$new"
    old=$(readlink "$base/current" || true)
    # Not over itself, or there would be nothing to go back to.
    if [ -n "$old" ] && [ "$old" != "releases/$2" ]; then swap "$base/previous" "$old"; fi
    [ -e "$root/etc/kerf/stage.toml" ] || $sudo cp "$new/stage.toml" "$root/etc/kerf/stage.toml"
    swap "$base/current" "releases/$2"
    ;;
bundle)
    $sudo mkdir -p "$state/bundles"
    $sudo rm -rf "$state/bundles/part"
    $sudo mkdir "$state/bundles/part"
    $sudo tar -xf - -C "$state/bundles/part"
    id=$(sha256sum "$state/bundles/part/manifest.json" | cut -c 1-16)
    sync
    say "checking bundle $id"
    "$base/current/kerf-stage" check --bundle "$state/bundles/part" || { say "the bundle is refused: nothing was changed"; exit 1; }
    $sudo rm -rf "$state/bundles/$id"
    $sudo mv -T "$state/bundles/part" "$state/bundles/$id"
    old=$(readlink "$state/bundle" || true)
    if [ -n "$old" ] && [ "$old" != "bundles/$id" ]; then swap "$state/previous-bundle" "$old"; fi
    swap "$state/bundle" "bundles/$id"
    ;;
start)
    command -v systemctl >/dev/null && [ -z "$root" ] || { say "no systemd: start $base/current/kerf-stage yourself"; exit 0; }
    id -u kerf >/dev/null 2>&1 || $sudo useradd --system --home-dir "$state" --shell /usr/sbin/nologin kerf
    $sudo chown -R kerf: "$state"
    $sudo cp "$base/current/kerf-stage.service" /etc/systemd/system/kerf-stage.service
    if [ -e "$base/current/60-kerf.rules" ]; then
        $sudo cp "$base/current/60-kerf.rules" /etc/udev/rules.d/60-kerf.rules
        $sudo udevadm control --reload || true
    fi
    $sudo systemctl daemon-reload
    $sudo systemctl enable --quiet kerf-stage
    $sudo systemctl restart kerf-stage
    sleep 5
    if [ "$(systemctl is-active kerf-stage)" = active ] || [ ! -e "$state/bundle/manifest.json" ]; then
        say "runs"
        exit 0
    fi
    say "does not run; going back"
    systemctl status --no-pager --lines=20 kerf-stage >&2 || true
    if [ -e "$base/previous" ]; then swap "$base/current" "$(readlink "$base/previous")"; fi
    if [ -e "$state/previous-bundle" ]; then swap "$state/bundle" "$(readlink "$state/previous-bundle")"; fi
    $sudo systemctl restart kerf-stage || true
    exit 1
    ;;
esac
