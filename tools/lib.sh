# Shared by the tools and .ci/run. Sourced, by bash.
#
# Results are lines "ok NAME", "not ok NAME" and "skip NAME # WHY" in a file of
# build/results/, and a last line "end": a file without it counts as a failure,
# because what should have ended it died.

RESULTS_DIR=${CCE_TEST_RESULTS_DIR:-build/results}
mkdir -p "$RESULTS_DIR"

# check NAME COMMAND...: one result in the file $RESULTS; shows the output of
# what failed.
check() {
    local name=$1 output status=0
    shift
    output=$("$@" 2>&1 </dev/null) || status=$?
    if [ "$status" -eq 0 ]; then
        echo "ok $name" >>"$RESULTS"
        echo "ok      $name"
    else
        echo "not ok $name" >>"$RESULTS"
        printf 'FAILED  %s (exit status %d)\n%s\n' "$name" "$status" "$output"
    fi
}

# copy_tree DIRECTORY: a copy of the tree, of what git knows or would add: nothing
# that was built.
copy_tree() {
    mkdir -p "$1"
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do
                if [ -e "$file" ]; then printf '%s\0' "$file"; fi
            done | tar -c --null -T - | tar -x -C "$1"
    else
        tar -c --exclude=./build --exclude=./doc . | tar -x -C "$1"
    fi
}

# summarize FILE...: a line for each file, what was skipped, and the closing
# line, which counts everything. Fails unless something passed and nothing failed.
summarize() {
    awk '
    function close_file() {
        if (name == "") return
        if (!ended) { bad++; print "FAILED  " name " did not run to its end" }
        if (ok + bad + skipped == 0) { bad++; print "FAILED  " name " ran nothing" }
        printf "%-20s %5d passed, %d failed, %d skipped\n", name, ok, bad, skipped
        passed_all += ok; failed_all += bad
    }
    FNR == 1 {
        close_file()
        name = FILENAME; gsub(/.*\/|\.results$/, "", name)
        ok = bad = skipped = ended = 0
    }
    /^ok /     { ok++ }
    /^not ok / { bad++ }
    /^skip /   { skipped++; sub(/^skip /, ""); if (!($0 in why)) order[++kinds] = $0; why[$0]++ }
    /^end/     { ended = 1 }
    END {
        close_file()
        for (i = 1; i <= kinds; i++) print "skipped (" why[order[i]] "x) " order[i]
        printf "%d passed, %d failed\n", passed_all, failed_all
        exit failed_all > 0 || passed_all == 0
    }' "$@"
}
