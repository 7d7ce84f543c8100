# The checks of scripts/test: each is a function check_NAME. $target is the build directory, $filter a module or empty.

checks=(
    formatting lints tests consistency crashes load lambda scripts docs schemas workflows smoke seeds client page
    terraform privileges drills
)

check_formatting() { cargo fmt --check; }

check_lints() { cargo clippy --locked --all-targets -- -D warnings; }

check_tests() {
    # The tests record the AWS calls of the function for the check `privileges`.
    rm -rf "$target/tmp/aws-calls"
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast ${filter:+-E "test(/^$filter::/)"}
    elif [[ $filter ]]; then
        cargo test --locked --test chat -- "$filter::"
    else
        cargo test --locked --no-fail-fast
    fi
}

check_consistency() { cargo test --locked --test consistency -- --clients 8 --operations 12 --races 2; }

# Some routes; `cargo test --test crashes -- --all` runs all of them.
check_crashes() { cargo test --locked --test crashes; }

check_load() { cargo test --locked --test load -- --sockets 300; }

# Neither the emulators nor the schema generation are linked into the Lambda.
check_lambda() {
    local tree; tree=$(cargo tree --locked --no-default-features --edges normal --prefix none) || return 1
    ! grep -E '^(axum|clap|dynoxide-rs|rusqlite|s3s|s3s-fs|schemars|tempfile|tungstenite|tokio-tungstenite) ' <<<"$tree"
}

check_scripts() {
    python3 -m unittest discover -s tests/scripts && python3 -m unittest discover -s tests/terraform -p 'test_*.py'
}

# The links, commands, options and examples of the documents work.
check_docs() {
    python3 -m unittest discover -s tests/docs && python3 tests/docs/check.py
}

# An AsyncAPI parser and an OpenAPI linter accept the generated documents.
check_schemas() { tests/schema/lint/check; }

check_workflows() {
    scripts/python tests/workflows/check.py && scripts/python -m unittest discover -s tests/workflows
}

check_smoke() { tests/smoke/check; }

# Pages written for older backends work in a real browser.
check_seeds() { tests/seeds/check; }

# The JavaScript client: against local stacks and under faults, its types, package, hooks and README.
check_client() { tests/client/check; }

# The chat page of the local stack in a real browser.
check_page() { tests/page/check; }

# This check mostly waits, so it starts before the others.
begin_terraform() {
    mkdir -p "$target"
    scripts/test-terraform >"$target/terraform.log" 2>&1 & terraform_job=$!
    trap 'kill "$terraform_job" 2>/dev/null || true' EXIT
}

check_terraform() {
    local outcome=0; wait "$terraform_job" || outcome=$?
    cat "$target/terraform.log"
    return "$outcome"
}

check_privileges() {
    if [[ ! target/terraform/policy.json -nt terraform/modules/function/policy.tf ]]; then
        echo 'policy.tf has changed since it was last applied: run scripts/test-terraform'
        return 1
    fi
    python3 tests/terraform/privileges.py target/terraform/{policy,resources}.json "$target/tmp/aws-calls"
}

# Of each failure a line, a metric, an alarm and a query tell. Needs the plan of the check `terraform`.
check_drills() {
    cargo test --quiet --locked --no-run --test chat && scripts/python -m unittest discover -s tests/drills
}

# Prints the requirements of a check that are not installed, or nothing.
lacks() {
    case $1 in
        formatting) cargo fmt --version >/dev/null 2>&1 || echo 'rustfmt: rustup component add rustfmt' ;;
        lints) cargo clippy --version >/dev/null 2>&1 || echo 'clippy: rustup component add clippy' ;;
        tests) python3 --version >/dev/null 2>&1 || echo 'Python 3.10 or later' ;;
        scripts | workflows) python3 -c 'import venv' 2>/dev/null || echo 'Python 3.10 or later with venv' ;;
        docs)
            python3 --version >/dev/null 2>&1 || echo 'Python 3.10 or later'
            npm --version >/dev/null 2>&1 || echo 'Node.js 20.10 or later: https://nodejs.org'
            command -v curl >/dev/null || echo 'curl'
            ;;
        smoke | schemas | client) npm --version >/dev/null 2>&1 || echo 'Node.js 20 or later: https://nodejs.org' ;;
        seeds | page)
            npm --version >/dev/null 2>&1 || echo 'Node.js 20 or later: https://nodejs.org'
            tests/seeds/chromium >/dev/null || echo 'Chromium: apt-get install chromium'
            ;;
        terraform | privileges | drills)
            python3 -c 'import venv' 2>/dev/null || echo 'Python 3.10 or later with venv'
            command -v terraform >/dev/null || echo 'Terraform 1.11: https://developer.hashicorp.com/terraform/install'
            ;;
    esac
}
