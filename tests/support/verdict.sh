# shellcheck shell=bash
# Counts the checks of a test script. Sourced by the scripts in tests/, never run.

passed=0 failed=0

# verdict STATUS TEXT: reports one check; STATUS 0 means that it passed.
verdict() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok   $2"
    else
        failed=$((failed + 1))
        echo "FAIL $2"
    fi
}

# Prints the script's last line and returns its exit status.
summary() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
