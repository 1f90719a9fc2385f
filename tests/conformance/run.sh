#!/bin/sh
# Runs the TUF project's conformance suite on the agent's client.
#
# TUF_CONFORMANCE names a checkout of theupdateframework/tuf-conformance, and `pytest` (or what
# PYTEST names) is one that finds tuf and pytest-json-report: see README.md. More arguments go to it.
set -eu
suite=${TUF_CONFORMANCE:?names no checkout of theupdateframework/tuf-conformance}
here=$(cd "$(dirname "$0")" && pwd)
command -v faketime >/dev/null || { echo 'faketime is missing (Debian package faketime)' >&2; exit 1; }

cd "$here/../.."
cargo build --quiet --example tuf_conformance_client
client=${CARGO_TARGET_DIR:-target}/debug/examples/tuf_conformance_client
# The suite reads the list of exceptions beside the client.
cp "$here/tuf_conformance_client.xfails" "$client.xfails"
"${PYTEST:-pytest}" -q -p no:cacheprovider --rootdir "$suite" "$suite/tuf_conformance" \
    --entrypoint "$(realpath "$client")" "$@"
