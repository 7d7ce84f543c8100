# For checks that run programs of Node.js, from the root of the repository.

# Installs the packages of a folder once: those of its lock file. Usage: install_packages FOLDER WHERE
install_packages() {
    local folder=$1 where=$2
    mkdir -p "$where"
    if ! cmp -s "$folder/package-lock.json" "$where/installed"; then
        cp "$folder/package.json" "$folder/package-lock.json" "$where"
        npm ci --prefix "$where" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
        cp "$folder/package-lock.json" "$where/installed"
    fi
}

# Starts a stack of $program on free ports, and stores its URLs in the variable NAME. Its log is in $installed. It ends
# with the check. Usage: start NAME [VARIABLE=VALUE]... [--FLAG VALUE]...
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
start() {
    local name=$1 stack environment=()
    shift
    while [[ ${1:-} == *=* ]]; do environment+=("$1"); shift; done
    exec {stack}< <(exec env "${environment[@]}" "$program" --json --port-base 0 "$@" 2>"$installed/$name.log")
    pids+=($!)
    read -r -t 60 "$name" <&"$stack" || {
        echo 'the local stack did not start:'
        cat "$installed/$name.log"
        exit 1
    }
}
