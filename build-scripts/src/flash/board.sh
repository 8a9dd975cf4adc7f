# What `cargo xtask flash` does on a board, with /bin/sh: one step a call. Every change of what runs is one rename of a link
# to files that are on the disk by then, and what runs or ran before is never touched: a power cut at any point leaves the
# old or the new, whole. KERF_ROOT is a folder that stands for / in tests. A user who may not look into the service's folders
# asks through sudo: each test and listing too.
set -eu
root=${KERF_ROOT:-}
base=$root/opt/kerf
state=$root/var/lib/kerf
config=$root/etc/kerf/stage.toml
sudo=
if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then sudo='sudo -n'; fi
say() { echo "board: $*" >&2; }

# A folder of this name that is not there yet: what runs may have the same name.
unused() {
    n=1
    while $sudo test -e "$1-$n"; do n=$((n + 1)); done
    echo "$1-$n"
}

# Points a link at something else, in one rename; the target is on the disk before, the link after.
swap() {
    $sudo ln -sfn "$2" "$1.next"
    sync
    $sudo mv -T "$1.next" "$1"
    sync
}

# Makes FOLDER/NAME what LINK points at; what it pointed at becomes PREVIOUS. Everything older goes.
take() { # link previous folder name
    old=$($sudo readlink "$1" || true)
    if [ -n "$old" ]; then swap "$2" "$old"; fi
    swap "$1" "$3/$4"
    all=$(dirname "$1")/$3
    for other in $($sudo ls "$all"); do
        case $3/$other in
        "$3/$4" | "$old") ;;
        *) $sudo rm -rf "${all:?}/$other" ;;
        esac
    done
}

case $1 in
release)
    part=$base/releases/part
    $sudo mkdir -p "$base/releases" "$state" "$root/etc/kerf/keys" "$root/etc/systemd/system"
    $sudo rm -rf "$part"
    $sudo mkdir "$part"
    $sudo tar -xzf - --strip-components=1 -C "$part"
    sync
    say "checking the new release"
    "$part/kerf-stage" check --backend "$3" || { say "the new release does not run here: nothing was changed"; exit 1; }
    new=$(unused "$base/releases/$2")
    $sudo mv -T "$part" "$new"
    take "$base/current" "$base/previous" releases "$(basename "$new")"
    ;;
config)
    # The owner may have changed what is there: it stays.
    if $sudo test -e "$config"; then
        cat >/dev/null
        if [ "$2" != - ] && ! $sudo grep -q "^part *= *$2 *\(#.*\)\?\$" "$config"; then
            say "$config names another part than $2: change it there"
            exit 1
        fi
        [ "$3" = - ] || say "$config stays as it is, with its broker"
        exit 0
    fi
    $sudo tee "$config.next" >/dev/null
    sync
    $sudo mv "$config.next" "$config"
    sync
    ;;
key)
    $sudo mkdir -p "$root/etc/kerf/keys"
    $sudo tee "$root/etc/kerf/keys/$2.next" >/dev/null
    sync
    $sudo mv "$root/etc/kerf/keys/$2.next" "$root/etc/kerf/keys/$2.pub"
    sync
    ;;
bundle)
    part=$state/bundles/part
    $sudo mkdir -p "$state/bundles"
    $sudo rm -rf "$part"
    $sudo mkdir "$part"
    $sudo tar -xf - -C "$part"
    id=$($sudo sha256sum "$part/manifest.json" | cut -c 1-16)
    sync
    say "checking bundle $id"
    # Signature, release, every file, and the self-test through the backend that will run it.
    $sudo "$base/current/kerf-stage" check --config "$config" --bundle "$part" || {
        say "the bundle is refused: nothing was changed"
        exit 1
    }
    new=$(unused "$state/bundles/$id")
    $sudo mv -T "$part" "$new"
    take "$state/bundle" "$state/previous-bundle" bundles "$(basename "$new")"
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
    if [ "$(systemctl is-active kerf-stage)" = active ] || ! $sudo test -e "$state/bundle/manifest.json"; then
        say "runs"
        exit 0
    fi
    say "does not run; going back"
    systemctl status --no-pager --lines=20 kerf-stage >&2 || true
    if $sudo test -e "$base/previous"; then swap "$base/current" "$($sudo readlink "$base/previous")"; fi
    if $sudo test -e "$state/previous-bundle"; then swap "$state/bundle" "$($sudo readlink "$state/previous-bundle")"; fi
    $sudo systemctl restart kerf-stage || true
    exit 1
    ;;
esac
