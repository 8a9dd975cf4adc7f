# shellcheck shell=bash
# Sourced by the scripts beside it. Gets what `cargo xtask` itself needs: a C compiler and Rust. Says what it installs
# before it does, and does nothing where nothing is missing. Everything else is installed by `cargo xtask setup`.

readonly RUST_NEEDED=1.92

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "this needs root or sudo: $*"
        exit 1
    fi
}

apt_install() {
    if ! command -v apt-get >/dev/null; then
        say "this is no Debian or Ubuntu; install these yourself, then run this again: $*"
        exit 1
    fi
    say "installing with apt-get: $*"
    as_root apt-get update -q >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

# Prints the installed Rust's version, or nothing.
rust_version() {
    rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p'
}

rust_is_new_enough() {
    local have
    have=$(rust_version)
    [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$RUST_NEEDED" "$have" | sort -V | head -n 1)" = "$RUST_NEEDED" ]
}

install_rust() {
    if command -v rustup >/dev/null; then
        say "Rust $RUST_NEEDED or newer is needed, there is '$(rust_version)': installing stable with rustup"
        rustup toolchain install stable --profile minimal --component clippy,rustfmt >&2
        export RUSTUP_TOOLCHAIN=stable
    elif command -v apt-get >/dev/null && apt-cache show rustup >/dev/null 2>&1; then
        apt_install rustup
        say "installing Rust stable with the distribution's rustup"
        rustup default stable >&2
    else
        command -v curl >/dev/null || apt_install ca-certificates curl
        say "installing Rust stable into ~/.cargo and ~/.rustup with the installer from https://sh.rustup.rs"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component clippy,rustfmt >&2
    fi
}

bootstrap() {
    # Rust installed for this user, but its folder not on this shell's PATH.
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        export PATH="$HOME/.cargo/bin:$PATH"
    fi
    command -v cc >/dev/null || apt_install gcc libc6-dev
    if ! rust_is_new_enough; then
        install_rust
        export PATH="$HOME/.cargo/bin:$PATH"
        rust_is_new_enough || {
            say "expected Rust $RUST_NEEDED or newer, got '$(rust_version)'"
            exit 1
        }
    fi
}
