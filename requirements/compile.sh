#!/bin/sh
# Makes the .lock files from the .in files: exact versions with hashes for every platform and Python 3.11-3.13, no addresses.
# All three agree with each other, so that the gate and the centre can share one environment in the demo and the tests.
# Without arguments newer versions are taken only where an .in file asks for them; --upgrade takes the newest of everything.
set -eu
cd "$(dirname "$0")/.."

compile() { # compile NAME [options]
    name=$1 && shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
        --custom-compile-command requirements/compile.sh "$@" \
        "requirements/$name.in" --output-file "requirements/$name.lock"
}

compile test "$@"
compile agent --constraints requirements/test.lock
compile server --constraints requirements/test.lock
