# shellcheck shell=sh
# What bin/hive and bin/test share: put everything hive needs in place, and do nothing where it is.
# The caller sets `root`, the checkout, and calls `set_up runtime` or `set_up test`. Afterwards `python` is
# the interpreter to run, `state` the folder that may be written, and `bytecode` where compiled modules go
# if not beside their sources.
#
# An environment counts only when its stamp names this checkout and these locks. The stamp is written last and
# under a lock, so a run that was killed leaves nothing that looks finished: the next run does it again.

say() {
    printf 'hive: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

set_up() { # set_up runtime|test
    place "$1"
    if ! is_current "$1" || ! is_current vendor; then
        find_python
        mkdir -p "$state" || die "cannot write to $state"
        (take_turns && install "$1") 9>"$environment.lock" || exit 1
    fi
    python=$environment/bin/python
}

# Where things live: in the checkout, or in the cache where the checkout cannot be written.
place() {
    unset HIVE_VENDOR_DIR
    hashes=$(cd "$root" && sha256sum requirements.lock requirements-test.lock hive/web/vendor.toml) ||
        die "this is not a whole checkout of hive: $root"
    # Six words: three hashes, each followed by its file's name. $1 is kept in front.
    # shellcheck disable=SC2086
    set -- "$1" $hashes
    # An environment knows its own path, so a checkout that moved needs a new one.
    stamp="$2 $4 $root"
    vendor_stamp=$6
    state=$root
    bytecode=
    environment=$root/.venv
    vendor=$root/hive/web/static/vendor
    if { is_current "$1" && is_current vendor; } || is_writable "$root" "$environment" "$root/hive/web"; then
        return
    fi
    cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
    [ -n "$cache" ] || die "$root cannot be written; set HOME or XDG_CACHE_HOME to say where to set up instead"
    name=$(printf %s "$stamp" | sha256sum)
    state=$cache/hive/${name%% *}
    environment=$state/.venv
    vendor=$state/vendor
    bytecode=$state/bytecode
    export HIVE_VENDOR_DIR="$vendor"
}

is_writable() {
    for folder; do
        [ -w "$folder" ] || [ ! -e "$folder" ] || return 1
    done
}

is_current() { # is_current runtime|test|vendor
    found=
    case $1 in
        vendor) wanted=$vendor_stamp stamp_file=$vendor/.stamp ;;
        *) wanted=$stamp stamp_file=$environment/.stamp-$1 ;;
    esac
    [ -r "$stamp_file" ] && IFS= read -r found <"$stamp_file"
    # An upgrade may have taken away the interpreter behind the link.
    [ "$found" = "$wanted" ] && [ -x "$environment/bin/python" ]
}

# Choose the interpreter to build with. With uv it may lack what `python3 -m venv` needs.
find_python() {
    uv=$(command -v uv || true)
    lame=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        base=$("$candidate" -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null) || continue
        [ -n "$base" ] || continue
        if [ -n "$uv" ] || "$base" -c 'import ensurepip, venv' 2>/dev/null; then
            return
        fi
        lame=${lame:-$base}
    done
    if [ -e /etc/NIXOS ]; then
        remedy="nix-shell nix/shell.nix"
    else
        remedy="apt install python3-venv git"
    fi
    [ -z "$lame" ] || die "$lame cannot make an environment; run: $remedy"
    die "Python 3.11 or newer was not found; run: $remedy"
}

# flock(2) on descriptor 9, which we keep: it is released when we and all we started are gone, however that happens.
take_turns() {
    flock='import fcntl, sys; fcntl.flock(9, fcntl.LOCK_EX | int(sys.argv[1]))'
    if ! "$base" -c "$flock" 4 2>/dev/null; then # 4 is LOCK_NB
        say "another shell is setting up; waiting for it"
        "$base" -c "$flock" 0
    fi
}

install() { # install runtime|test, under the lock
    # Whoever had the lock before us may have done it all.
    ! is_current "$1" || ! is_current vendor || return 0
    log=$state/.setup.log
    : >"$log"
    begun=$(date +%s)
    if ! is_current "$1"; then
        case $1 in
            runtime) lock=requirements.lock levels=runtime ;;
            test) lock=requirements-test.lock levels="runtime test" ;;
        esac
        # What tests need comes on top of a sound environment; anything else is built anew.
        is_current runtime || make_environment
        step "installing what $lock names" install_packages --requirement "$root/$lock"
        for level in $levels; do
            printf '%s\n' "$stamp" >"$environment/.stamp-$level"
        done
    fi
    is_current vendor || install_vendor
    say "set up in $environment, $(($(date +%s) - begun)) s"
}

make_environment() {
    rm -rf "$environment"
    if [ -n "$uv" ]; then
        step "making a Python environment with uv" uv_alone venv --python "$base" "$environment"
    else
        step "making a Python environment with $base" "$base" -m venv "$environment"
    fi
    # The checkout itself, in place of an installation: nothing to build, nothing to go stale, no variable to leak.
    packages=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') &&
        printf '%s\n' "$root" >"$packages/hive-checkout.pth" || die "the interpreter in $environment does not run"
}

install_packages() { # install_packages OPTION...
    if [ -n "$uv" ]; then
        uv_alone pip install --python "$environment/bin/python" --compile-bytecode --require-hashes "$@"
    else
        "$environment/bin/python" -m pip install --disable-pip-version-check --require-hashes "$@"
    fi
}

# uv from outside the checkout, where pyproject.toml would add its constraints to the locks; never fetching a Python,
# and trusting whom the machine trusts, as pip does.
uv_alone() (
    trusted=/etc/ssl/certs/ca-certificates.crt
    [ ! -r "$trusted" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$trusted}"
    cd / && UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 "$uv" "$@"
)

install_vendor() {
    node=$environment/node
    rm -rf "$node"
    command -v npm >/dev/null ||
        step "installing npm for a moment" install_packages --target "$node" --requirement "$root/requirements-node.lock"
    step "fetching the browser modules" env PYTHONPATH="$node" "$environment/bin/python" -P "$root/hive/web/vendor.py" "$vendor"
    rm -rf "$node"
    printf '%s\n' "$vendor_stamp" >"$vendor/.stamp"
}

step() { # step WHAT COMMAND...
    say "$1"
    shift
    "$@" >>"$log" 2>&1 && return
    tail -n 15 "$log" >&2
    if grep -qiE 'name resolution|resolve host|dns error|unreachable|EAI_AGAIN|ENOTFOUND|NewConnectionError' "$log"; then
        die "this machine seems to be offline; the first run has to fetch packages. Run the same command again later."
    fi
    die "that failed; all of its output is in $log. The same command tries again."
}
