#!/usr/bin/env bash
# How much memory the agent's TUF client takes on 32-bit RISC-V, for a repository of 50 releases.
#
# Usage: run.sh WORK   (a folder for everything that is built)
#
# Needs a cargo that builds the core library (RUSTC_BOOTSTRAP=1 and the sources of Rust), rust-lld,
# python-tuf (as PYTHON has it) and qemu-system-riscv32 on PATH. Fails beyond the bounds that docs/design/memory.md states.
set -euo pipefail
readonly here=$(cd "$(dirname "$0")" && pwd) work=$1
readonly most_heap=40000 most_stack=16384
target=riscv32imc-unknown-none-elf

for kind in ed25519 ecdsa; do
    "${PYTHON:-python3}" "$here/repository.py" "$kind" "$work/$kind"
    (
        cd "$here"
        REPOSITORY=$work/$kind CARGO_TARGET_DIR=$work/target RUSTFLAGS="-Clink-arg=-T$here/link.x -Clinker=rust-lld" \
            cargo build --quiet --release --locked --target "$target" -Zbuild-std=core,alloc
    )
    timeout 60 qemu-system-riscv32 -M virt -bios none -nographic \
        -kernel "$work/target/$target/release/agent_memory" | tee "$work/$kind.txt" | sed "s/^/$kind: /"
    awk -v heap="$most_heap" -v stack="$most_stack" '
        $(NF - 3) == "heap" && $(NF - 1) == "stack" { lines++; if ($(NF - 2) > heap || $NF + 0 > stack) bad = 1 }
        END { exit bad || lines != 3 }' "$work/$kind.txt" || { echo "beyond $most_heap of heap or $most_stack of stack"; exit 1; }
done
