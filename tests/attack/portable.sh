#!/usr/bin/env bash
# Do all processors and compilers get the same bits?  The core's C alone, on this machine's
# instruction sets, built by GCC and clang and, cross-compiled and emulated, on aarch64, trains the
# networks of portable.c; their lines must be AVX2's by GCC.  Baseline x86-64 rounds twice where the
# others fuse: its forms and threads agree.
#
#     tests/attack/portable.sh [K]    every K-th network only
set -euo pipefail
every=${1:-1}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=$(ls src/bpcore/*.c | grep -v /_core.c)

# build COMPILER PROGRAM FLAGS...
build() {
    local compiler=$1 program=$2
    shift 2
    "$compiler" -std=gnu11 -O2 -ffp-contract=off -fno-math-errno -Isrc/bpcore "$@" \
        tests/attack/portable.c $sources -o "$program" -lm -pthread
}

same() {
    if cmp -s "$work/avx2" "$work/$1"; then
        echo "portable: $(grep -vc distorted "$work/$1") networks, and images, $1: the bits of AVX2"
    else
        echo "portable: $1 differs from AVX2 in $(diff "$work/avx2" "$work/$1" | grep -c '^>') networks"
        return 1
    fi
}

[ "$(uname -m)" = x86_64 ] || { echo "portable: skipped, not an x86-64 machine"; exit 0; }
build gcc "$work/native" &
native=$!
if command -v clang > "$work/which"; then
    build clang "$work/clang" &
    clang=$!
fi
if command -v aarch64-linux-gnu-gcc > "$work/which" && command -v qemu-aarch64 > "$work/which"; then
    build aarch64-linux-gnu-gcc "$work/aarch64" -static
    qemu-aarch64 "$work/aarch64" baseline "$every" > "$work/aarch64-emulated" &
    emulated=$!
fi
wait $native
"$work/native" baseline "$every" > "$work/baseline"

# has ISA: write its lines; not where this machine has no such engine.
has() {
    local status=0
    "$work/native" "$1" "$every" > "$work/$1" || status=$?
    [ $status -ne 1 ] || { grep DIFFER "$work/$1"; exit 1; }
    return $status
}
grep distorted "$work/baseline" > "$work/unfused"
has avx2 || { echo "portable: skipped, no AVX2 here"; exit 0; }
status=0
grep distorted "$work/avx2" | cmp - "$work/unfused" || status=1 # nothing in it is fused
if has avx512; then same avx512 || status=1; fi
if [ -n "${clang:-}" ]; then
    wait $clang
    "$work/clang" avx2 "$every" > "$work/avx2-clang"
    same avx2-clang || status=1
else
    echo "portable: clang skipped, not on this machine"
fi
if [ -n "${emulated:-}" ]; then
    wait $emulated
    same aarch64-emulated || status=1
else
    echo "portable: aarch64 skipped, no aarch64-linux-gnu-gcc or qemu-aarch64"
fi
exit $status
