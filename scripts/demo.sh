#!/usr/bin/env bash
# Walks a newcomer through a store that holds this repository's own history. Needs the built command
# line and git; leaves nothing behind. Called by `make demo`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/scripts/env.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# What follows must look the same for everybody.
unset WITHY_STORE WITHY_BRANCH
export PATH="$CARGO_TARGET_DIR/release:$PATH" WITHY_AUTHOR="A Newcomer" PAGER=cat
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold="" dim="" plain=""
fi

number=0
step() {
    number=$((number + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$number" "$*" "$plain"
}
# Shows a command, runs it, and shows at most so many lines of what it says.
lines=12 wanted=0
run() {
    local out word text=""
    for word in "$@"; do
        case $word in *" "*) word="\"$word\"" ;; esac
        text+=" $word"
    done
    printf '%s$%s%s\n' "$dim" "$text" "$plain"
    local code=0
    out=$("$@" 2>&1) || code=$?
    [ "$code" = "$wanted" ] || { printf '%s\n' "$out"; echo "demo: failed: $*" >&2; exit 1; }
    [ -z "$out" ] || printf '%s\n' "$out" | shown
}
# The same for a command whose answer is no.
run_no() { wanted=1 run "$@"; }
shown() {
    awk -v most="$lines" -v scratch="$scratch/" '
        { at = index($0, scratch) }
        at { $0 = substr($0, 1, at - 1) substr($0, at + length(scratch)) }
        length($0) > 100 { $0 = substr($0, 1, 97) "..." }
        NR <= most { print "  " $0 }
        END { if (NR > most) printf "  ... and %d lines more\n", NR - most }'
}

# The history as a stream. A clean copy gives the same refs for every kind of clone: detached, shallow,
# or with remote branches only. Outside a repository, the stream among the fixtures stands in.
stream="$scratch/history.fast-export"
if git -C "$root" rev-parse -q --verify HEAD >/dev/null 2>&1; then
    git init -q --bare -b main repository.git
    git -C repository.git config receive.shallowUpdate true
    git -C "$root" push -q "$scratch/repository.git" HEAD:refs/heads/main 2>/dev/null
    git -C "$root" push -q --tags "$scratch/repository.git" 2>/dev/null || true
    git -C repository.git fast-export --all --signed-tags=strip >"$stream"
    from="git fast-export --all" what="the history of this very repository"
else
    cp "$root/fixtures/git/orchard.fe" "$stream"
    from="cat fixtures/git/orchard.fe" what="a small history, for this is not a repository"
fi

step "A store is a directory"
run withy init orchard
cd orchard

step "Import $what"
printf '%s$ %s | withy import --format git -%s\n' "$dim" "$from" "$plain"
withy import --format git - <"$stream" 2>&1 | shown
imported=$(withy log --all --oneline -n 1 | sed 's/.*seq:\([0-9]*\) .*/\1/')
run withy branch -v
run withy log --graph --oneline -n 8
# A key to speak of, whatever was imported.
known=README.md
withy get "$known" >/dev/null 2>&1 || known=$(withy scan --keys-only -n 1)

step "Time travel: every read takes any rev"
run withy scan --count
run withy scan --count --at seq:1
run withy scan --at seq:1 --keys-only -n 3
run withy history "$known" -n 3

step "A branch costs one row; what is done on it stays on it"
run withy switch -c trial
run withy put fruit/pear green -m "Plant a pear"
run withy put fruit/pear yellow -m "The pear is ripe"
run withy get fruit/pear
run withy get fruit/pear --at @~1

step "Meanwhile on main: one batch, one commit"
run withy switch main
printf '%s$ withy apply -m "Plums instead" <<END%s\n' "$dim" "$plain"
changes='{"key": "fruit/plum", "value": "blue"}
{"key": "'$known'", "delete": true}'
printf '%s\nEND\n' "$changes"
withy apply -m "Plums instead" <<<"$changes" 2>&1 | shown

step "Both sides, and what differs"
run withy log --graph --oneline --all -n 6
run withy diff main trial --name-status
run withy diff main trial --prefix fruit/

step "The changefeed: every commit once, in order, with its changes"
run withy feed --after "$imported"

step "Anything can be taken back"
run withy undo
run withy scan --prefix fruit/
run withy redo
run withy ops -n 5

step "A merge: what only one side changed merges by itself, the rest waits"
run withy put fruit/pear brown -m "The pear is old"
run withy put fruit/fig ripe -m "A fig" --branch trial
run_no withy merge trial --dry-run
run_no withy merge trial
run_no withy conflicts --verbose
run withy resolve fruit/pear --value "golden brown"
run withy merge --continue
run withy show --name-status
run withy log --graph --oneline -n 7

# It is on the path of this script alone, so it is named in full.
printf '\nNext: %q help; docs/guide.md for the library; make test.\n' "$(command -v withy)"
