#!/usr/bin/env bash
# The rules of the tree, checked by reading the sources (see docs/architecture.md):
# who may include whom, who may allocate, who may end the process.
#
#     tests/layers.sh               check the tree, and that planted violations are found
#     tests/layers.sh --only DIR    check the tree at DIR, print what is wrong
#
# Ends with "N passed, N failed".
set -u
export LC_ALL=C

# All sources of a tree as "path:line:text", comments blanked, so that a rule
# is one grep. Strings stay: #include lines need theirs.
sources() {
    (cd "$1" && find server models engine -name '*.[ch]' 2>/dev/null | sort) |
        while read -r path; do
            awk -v path="$path" '
                {
                    line = $0
                    out = ""
                    while (line != "") {
                        if (inside) {
                            at = index(line, "*/")
                            if (!at) { line = ""; break }
                            line = substr(line, at + 2)
                            inside = 0
                            continue
                        }
                        if (match(line, /"([^"\\]|\\.)*"|\/\*|\/\/|'"'"'([^'"'"'\\]|\\.)+'"'"'/)) {
                            token = substr(line, RSTART, RLENGTH)
                            if (token == "/*") {
                                out = out substr(line, 1, RSTART - 1)
                                inside = 1
                            } else if (token == "//") {
                                out = out substr(line, 1, RSTART - 1)
                                line = ""
                                break
                            } else
                                out = out substr(line, 1, RSTART + RLENGTH - 1)
                            line = substr(line, RSTART + RLENGTH)
                        } else {
                            out = out line
                            line = ""
                        }
                    }
                    if (out != "")
                        print path ":" FNR ":" out
                }' "$1/$path"
        done
}

# "file:line included" for each include of a file of ours, the path resolved
# as the compiler does: beside the file, then engine/, then the root.
project_includes() {
    grep -E '^[^:]+:[0-9]+:[ \t]*#[ \t]*include[ \t]*"' "$text" |
        sed -E 's/^([^:]+):([0-9]+):[^"]*"([^"]+)".*/\1 \2 \3/' |
        while read -r file line name; do
            for candidate in "$(dirname "$file")/$name" "engine/$name" "$name"; do
                if [ -f "$tree/$candidate" ]; then
                    name=$candidate
                    break
                fi
            done
            echo "$file $line $name"
        done
}

# Level by level: a file includes its own room and rooms of lower levels only.
layering() {
    awk '
        BEGIN {
            level["base"] = 0
            level["kernels"] = level["io"] = level["image"] = 1
            level["graph"] = 2
            level["ops"] = 3
            level["plan"] = level["train"] = 4
            level["wsol"] = level["data"] = 5
            level["eval"] = level["models"] = 6
            level["server/http"] = level["server/options"] = level["server/tasks"] = 7
            level["server/serving"] = level["server/training"] = 8
            level["server/api"] = level["server/report"] = 9
            level["server/commands"] = 10
            level["server"] = 11 # main.c alone
        }
        function room(path, part, parts) {
            parts = split(path, part, "/")
            if (part[1] == "engine")
                return part[2]
            return part[1] == "server" && parts > 2 ? part[1] "/" part[2] : part[1]
        }
        {
            from = room($1)
            to = room($3)
            if (!(from in level))
                print $1 ": the folder has no place among the layers; give it one in tests/layers.sh"
            else if (!(to in level))
                print $1 ":" $2 ": \"" $3 "\" is no file of server/, models/ or engine/"
            else if (from != to && level[to] >= level[from])
                print $1 ":" $2 ": " from " may not include " to " (\"" $3 "\")"
        }' "$includes"
}

only_main_in_server() {
    (cd "$tree" && find server -maxdepth 1 -type f ! -name main.c)
}

includes_no_source() {
    grep -E '^[^:]+:[0-9]+:[ \t]*#[ \t]*include[ \t]*["<][^">]*\.c[">]' "$text"
}

no_include_cycles() {
    awk '$1 == $3 {print $1 ":" $2 ": includes itself"}' "$includes"
    awk '{print $1, $3}' "$includes" | tsort 2>&1 >/dev/null | sed 's/^tsort: //'
}

# A call, not a member (pool->free) nor a longer name (adl_free).
calls() {
    sed -E 's/"([^"\\]|\\.)*"/""/g' "$text" |
        grep -E "^[^:]+:[0-9]+:(.*[^A-Za-z0-9_.>])?($1)[ \t]*\("
}

one_allocator() {
    calls 'malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|memalign|strdup|strndup|asprintf|vasprintf' |
        grep -v '^engine/base/mem\.c:'
}

one_blas_caller() {
    grep -E '#[ \t]*include[ \t]*[<"]([a-z]*/)*cblas\.h[">]' "$text" |
        grep -v '^engine/kernels/blas\.c:'
}

only_main_exits() {
    calls 'exit|_exit|_Exit|quick_exit|abort|err|errx' | grep -v '^server/main\.c:'
}

# What is compiled with wider instructions must share no inline function with
# the rest: the linker may keep the wide copy and crash on an older machine.
# What each of them compiles for itself is static functions in *_loops.h and *_vec.h.
kernels_stand_alone() {
    grep -E '^engine/kernels/avx[^:]*:[0-9]+:[ \t]*#[ \t]*include' "$text" |
        grep -vE 'include[ \t]*(<(immintrin|stddef|stdint)\.h>|"(kernels/)?(kernel|strassen|winograd|avx[0-9]+_vec|[a-z]+_loops)\.h")'
    grep -E '^engine/kernels/([a-z]+_loops|avx[0-9]+_vec)\.h:[0-9]+:[A-Za-z].*\(' "$text" |
        grep -vE ':[0-9]+:(static|INLINE|typedef) '
    grep -E '^engine/kernels/(kernel|strassen|winograd)\.h:[0-9]+:.*(\<inline\>|include[ \t]*")' "$text"
}

rules=(layering only_main_in_server includes_no_source no_include_cycles one_allocator one_blas_caller
    only_main_exits kernels_stand_alone)

indent() {
    printf '    %s\n' "${1//$'\n'/$'\n    '}"
}

# Checks the tree at $1: the number of broken rules in `broken`, a line each.
check_tree() {
    tree=$1
    text=$scratch/text
    includes=$scratch/includes
    sources "$tree" >"$text"
    project_includes >"$includes"
    broken=0
    for rule in "${rules[@]}"; do
        findings=$("$rule")
        if [ -n "$findings" ]; then
            echo "FAIL $rule"
            indent "$findings"
            broken=$((broken + 1))
        else
            echo "ok   $rule"
        fi
    done
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "${1-}" = --only ]; then
    check_tree "$2"
    exit $((broken > 0))
fi

script=$(readlink -f "$0")
cd "$(dirname "$script")/.." || exit 1
if [ -z "$(find engine -name '*.c' | head -n 1)" ]; then
    echo "no sources below $PWD"
    exit 1
fi
check_tree .
passed=$((${#rules[@]} - broken))
failed=$broken

# Plants LINE at the end of FILE in a small tree of its own, where RULE has to
# find it, and nothing else has to be found without it.
plant() {
    local rule=$1 file=$2 line=$3
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree"/{models,server/{api,commands,http,options,report,serving,tasks,training},engine/{base,kernels,io,image,graph,ops,plan,train,wsol,data,eval}}
    local dir
    for dir in engine/{base,kernels,io,image,graph,ops,plan,train,wsol,data,eval} models \
        server/{api,commands,http,options,report,serving,tasks,training}; do
        echo '/* malloc(1); exit(1); "engine/../plan.c" */' >"$scratch/tree/$dir/sample.h"
    done
    printf '#include "base/sample.h"\nvoid f(void) { adl_free(x->free(1), "exit(1)"); } // abort()\n' \
        >"$scratch/tree/engine/plan/sample.c"
    echo '#include "sample.h"' >"$scratch/tree/engine/io/other.h"
    if ! report=$("$script" --only "$scratch/tree"); then
        echo "FAIL self-test: a clean tree is refused"
        echo "$report"
        failed=$((failed + 1))
        return
    fi
    printf '%s\n' "$line" >>"$scratch/tree/$file"
    report=$("$script" --only "$scratch/tree")
    if [ "$(echo "$report" | grep '^FAIL')" = "FAIL $rule" ]; then
        passed=$((passed + 1))
        echo "ok   self-test: $rule finds '$line' in $file"
    else
        failed=$((failed + 1))
        echo "FAIL self-test: $rule should alone find '$line' in $file"
        indent "$report"
    fi
}

plant layering engine/base/sample.h '#include "graph/sample.h"'
plant layering engine/io/sample.h '#include "image/sample.h"'
plant layering engine/plan/sample.c '#include "train/sample.h"'
plant layering engine/wsol/sample.h '#include "data/sample.h"'
plant layering engine/data/sample.h '#include "eval/sample.h"'
plant layering engine/eval/sample.h '#include "models/sample.h"'
plant layering engine/plan/sample.c '#include "models/sample.h"'
plant layering models/sample.h '#include "server/tasks/sample.h"'
plant layering server/api/sample.h '#include "elsewhere.h"'
plant layering server/tasks/sample.h '#include "server/options/sample.h"'
plant layering server/http/sample.h '#include "server/tasks/sample.h"'
plant layering server/serving/sample.h '#include "server/api/sample.h"'
plant layering server/training/sample.h '#include "server/report/sample.h"'
plant layering server/report/sample.h '#include "server/commands/sample.h"'
plant only_main_in_server server/sample.h ''
plant includes_no_source models/sample.h '#include <sample.c>'
plant no_include_cycles engine/io/sample.h '#include "sample.h"'
plant no_include_cycles engine/io/sample.h '#include "io/other.h"'
plant one_allocator engine/plan/sample.c 'void *g(void) { return malloc(1); }'
plant one_allocator server/api/sample.h 'x = y ? strdup (z) : 0;'
plant one_blas_caller engine/plan/sample.c '#include <cblas.h>'
plant only_main_exits server/api/sample.h 'static void g(void) { exit(1); }'
plant kernels_stand_alone engine/kernels/avx2.c '#include <string.h>'
plant kernels_stand_alone engine/kernels/kernel.h 'static inline int g(void) { return 1; }'
plant kernels_stand_alone engine/kernels/winograd.h 'static inline int g(void) { return 1; }'
plant kernels_stand_alone engine/kernels/x_loops.h 'void g(float *x) { *x = 1; }'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
