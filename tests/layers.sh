#!/usr/bin/env bash
# The rules of the tree (see docs/architecture.md), checked by reading the
# sources and the symbol tables of the compiled objects: which folder may depend
# on which, that no two files depend on each other, who may allocate, who may end
# the process.
#
#     tests/layers.sh               check the tree, then check that planted violations are found
#     tests/layers.sh --only DIR    check the tree at DIR and print what is wrong
#
# OBJ is the directory of the objects below the tree (default build/release).
# Calls can be followed only through compiled objects: where some are missing or
# older than their source, the rules that need them are counted as skipped.
# Ends with "N passed, N failed[, N skipped]".
set -u
export LC_ALL=C

# Prints all sources of the tree as "path:line:text" with the comments blanked,
# so that a rule is one grep. Strings stay because #include lines need theirs.
# shellcheck disable=SC2016 # the dollar signs are those of awk
sources() {
    (cd "$1" && find server models engine -name '*.[ch]' 2>/dev/null | sort | xargs -r awk '
        FNR == 1 { inside = 0 }
        {
            line = $0
            out = ""
            while (line != "") {
                if (inside) {
                    at = index(line, "*/")
                    if (!at)
                        break
                    line = substr(line, at + 2)
                    inside = 0
                    continue
                }
                if (!match(line, /"([^"\\]|\\.)*"|\/\*|\/\/|'"'"'([^'"'"'\\]|\\.)+'"'"'/)) {
                    out = out line
                    break
                }
                token = substr(line, RSTART, RLENGTH)
                rest = substr(line, RSTART + RLENGTH)
                if (token == "/*" || token == "//")
                    out = out substr(line, 1, RSTART - 1)
                else
                    out = out substr(line, 1, RSTART + RLENGTH - 1)
                if (token == "//")
                    break
                inside = token == "/*"
                line = rest
            }
            if (out != "")
                print FILENAME ":" FNR ":" out
        }')
}

# Prints "file line included" for each include of a project file. The path is
# resolved as the compiler does it: beside the file, then in engine/, then in the root.
project_includes() {
    grep -E '^[^:]+:[0-9]+:[ \t]*#[ \t]*include[ \t]*"' "$text" |
        sed -E 's/^([^:]+):([0-9]+):[^"]*"([^"]+)".*/\1 \2 \3/' |
        while read -r file line name; do
            for candidate in "${file%/*}/$name" "engine/$name" "$name"; do
                if [ -f "$tree/$candidate" ]; then
                    name=$candidate
                    break
                fi
            done
            echo "$file $line $name"
        done
}

# Prints the sources whose object is missing or older than they are.
sources_without_object() {
    (cd "$tree" && find server models engine -name '*.[cS]' 2>/dev/null | sort |
        while read -r file; do
            [ "$obj/$file.o" -nt "$file" ] || echo "$file"
        done)
}

# Prints "file symbol other" for each global symbol that a file uses and another
# file defines, whether an include declares it or the file does so by hand.
symbol_uses() {
    (cd "$tree" && find server models engine -name '*.[cS]' 2>/dev/null |
        while read -r file; do
            [ ! -f "$obj/$file.o" ] || echo "$obj/$file.o"
        done | sort | xargs -r nm -A -g -P) |
        awk -v prefix="$obj/" '
            {
                file = substr($1, length(prefix) + 1)
                sub(/\.o:$/, "", file)
                if ($3 == "U" || $3 == "w")
                    used[++count] = file " " $2
                else
                    defined_in[$2] = file
            }
            END {
                for (i = 1; i <= count; i++) {
                    split(used[i], part, " ")
                    other = defined_in[part[2]]
                    if (other != "" && other != part[1])
                        print used[i], other
                }
            }'
}

# Reads "file where other" and prints each line on which a file depends on a
# folder that is neither its own nor on a lower level. VERB says what it does.
against_the_layers() {
    awk -v verb="$1" '
        BEGIN {
            level["base"] = 0
            level["kernels"] = level["io"] = level["image"] = 1
            level["graph"] = 2
            level["ops"] = 3
            level["plan"] = level["train"] = 4
            level["methods"] = level["wsol"] = level["data"] = 5
            level["eval"] = 6
            level["models/backbones"] = 7
            level["models"] = 8 # arch.c, model.c
            level["models/file"] = 9
            level["models/onnx"] = level["models/onnx_in"] = 10
            level["server/http"] = level["server/options"] = level["server/tasks"] = 11
            level["server/serving"] = level["server/training"] = 12
            level["server/api"] = level["server/report"] = 13
            level["server/experiment"] = 14
            level["server/commands"] = 15
            level["server"] = 16 # main.c alone
        }
        function folder(path, part, parts) {
            parts = split(path, part, "/")
            if (part[1] == "engine")
                return part[2]
            return parts > 2 ? part[1] "/" part[2] : part[1]
        }
        {
            from = folder($1)
            to = folder($3)
            if (!(from in level))
                print $1 ": the folder has no place among the layers; give it one in tests/layers.sh"
            else if (!(to in level))
                print $1 ":" $2 ": \"" $3 "\" is not a file of server/, models/ or engine/"
            else if (from != to && level[to] >= level[from])
                print $1 ":" $2 ": " from " may not " verb " " to " (\"" $3 "\")"
        }'
}

layering() {
    against_the_layers include <"$includes"
}

calls_follow_layering() {
    against_the_layers use <"$uses"
    needs_objects
}

# A file is NAME.c, NAME.h and NAME.S taken together. An arrow from one file to
# another is an include or the use of a symbol. Files that reach each other along
# arrows form a circle: none of them can be understood, tested or replaced alone.
# The circles are the strongly connected components of more than one file
# (Tarjan, "Depth-first search and linear graph algorithms", 1972).
no_circles() {
    awk '$1 == $3 {print $1 ":" $2 ": includes itself"}' "$includes"
    { awk '{print $1, $3, "#include"}' "$includes" && awk '{print $1, $3, $2}' "$uses"; } |
        awk '
        {
            sub(/\.[chS]$/, "", $1)
            sub(/\.[chS]$/, "", $2)
            if ($1 == $2)
                next
            if (!(($1, $2) in reasons)) {
                targets[$1] = targets[$1] " " $2
                reasons[$1, $2] = $3
                reason_count[$1, $2] = 1
            } else if (index(" " reasons[$1, $2] ",", " " $3 ",") == 0 && ++reason_count[$1, $2] <= 4)
                reasons[$1, $2] = reasons[$1, $2] ", " (reason_count[$1, $2] == 4 ? "..." : $3)
            if (!($1 in known)) {
                known[$1]
                files[++file_count] = $1
            }
        }
        function visit(file, target, i, count) {
            order[file] = lowest[file] = ++visited
            stack[++height] = file
            on_stack[file] = 1
            count = split(targets[file], target, " ")
            for (i = 1; i <= count; i++) {
                if (!(target[i] in order)) {
                    visit(target[i])
                    if (lowest[target[i]] < lowest[file])
                        lowest[file] = lowest[target[i]]
                } else if (on_stack[target[i]] && order[target[i]] < lowest[file])
                    lowest[file] = order[target[i]]
            }
            if (lowest[file] == order[file])
                finish(file)
        }
        # Takes the component that begins with FILE off the stack.
        function finish(file, member, members, i, j) {
            do {
                members++
                member[members] = stack[height--]
                on_stack[member[members]] = 0
            } while (member[members] != file)
            if (members == 1)
                return
            print "circle of " members " files"
            for (i = members; i > 0; i--)
                for (j = members; j > 0; j--)
                    if ((member[i], member[j]) in reasons)
                        print "    " member[i] " -> " member[j] ": " reasons[member[i], member[j]]
        }
        END {
            for (f = 1; f <= file_count; f++)
                if (!(files[f] in order))
                    visit(files[f])
        }'
    needs_objects
}

# Ends a rule that follows calls: 77, "not all of it could be checked", where
# objects are missing.
needs_objects() {
    [ ! -s "$uncompiled" ] || return 77
}

only_main_in_server() {
    (cd "$tree" && find server -maxdepth 1 -type f ! -name main.c)
}

includes_no_source() {
    grep -E '^[^:]+:[0-9]+:[ \t]*#[ \t]*include[ \t]*["<][^">]*\.c[">]' "$text"
}

# A call is neither a member (pool->free) nor part of a longer name (adl_free).
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

# A training method is named in its own file and in its row alone: neither its struct nor one of
# its options anywhere else. ("adl-" and "cam-" begin other names too.)
methods_by_their_row() {
    local name
    grep -oE '^engine/methods/method\.h:[0-9]+:[ \t]*ROW\([a-z_]+\)' "$text" |
        sed -E 's/.*\((.*)\)/\1/' | while read -r name; do
        grep -E "\\badl_method_${name}\\b$([[ $name =~ ^(adl|cam)$ ]] || echo "|\"${name//_/-}-")" "$text" |
            grep -vE "^engine/methods/($name\\.c|method\\.h):"
    done
}

only_main_exits() {
    calls 'exit|_exit|_Exit|quick_exit|abort|err|errx' | grep -v '^server/main\.c:'
}

# Files compiled with wider instructions must share no inline function with the
# rest: the linker could keep the copy with wide instructions, which crashes on an
# older machine. What they do share is static functions in *_loops.h and *_vec.h,
# of which each compiles its own.
kernels_stand_alone() {
    grep -E '^engine/kernels/(avx|neon)[^:]*:[0-9]+:[ \t]*#[ \t]*include' "$text" |
        grep -vE 'include[ \t]*(<(immintrin|arm_neon|stddef|stdint)\.h>|"(kernels/)?(kernel|strassen|winograd|(avx[0-9]+|neon)_vec|[a-z0-9_]+_loops)\.h")'
    grep -E '^engine/kernels/([a-z0-9_]+_loops|(avx[0-9]+|neon)_vec)\.h:[0-9]+:[A-Za-z].*\(' "$text" |
        grep -vE ':[0-9]+:(static|INLINE|typedef) '
    grep -E '^engine/kernels/(kernel|int8|strassen|winograd)\.h:[0-9]+:.*(\<inline\>|include[ \t]*")' "$text"
}

rules=(layering calls_follow_layering no_circles only_main_in_server includes_no_source one_allocator
    one_blas_caller methods_by_their_row only_main_exits kernels_stand_alone)

indent() {
    printf '    %s\n' "${1//$'\n'/$'\n    '}"
}

# Checks the tree at $1, a line for each rule. Sets `broken` and `unchecked`, the
# numbers of rules that are violated and that could not be checked completely.
check_tree() {
    local rule findings status
    tree=$1
    obj=${OBJ:-build/release}
    text=$scratch/text
    includes=$scratch/includes
    uses=$scratch/uses
    uncompiled=$scratch/uncompiled
    sources "$tree" >"$text"
    project_includes >"$includes"
    sources_without_object >"$uncompiled"
    symbol_uses >"$uses"
    broken=0 unchecked=0
    for rule in "${rules[@]}"; do
        findings=$("$rule")
        status=$?
        if [ -n "$findings" ]; then
            echo "FAIL $rule"
            indent "$findings"
            broken=$((broken + 1))
        elif [ "$status" = 77 ]; then
            echo "skip $rule"
            indent "skipped: $(wc -l <"$uncompiled") sources have no up-to-date object in $obj; run make first"
            unchecked=$((unchecked + 1))
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
skipped=$unchecked
passed=$((${#rules[@]} - broken - unchecked))
failed=$broken

# --- the self-test: rules find what is planted, and nothing else -----------------

planted=$scratch/tree
folders=(engine/{base,kernels,io,image,graph,ops,methods,plan,train,wsol,data,eval}
    models models/{backbones,file,onnx,onnx_in}
    server/{api,commands,experiment,http,options,report,serving,tasks,training})

# Makes a small tree in which no rule finds anything. Its comments and strings
# hold what the rules look for.
plant_tree() {
    local folder
    rm -rf "$planted"
    for folder in "${folders[@]}"; do
        mkdir -p "$planted/$folder"
        echo '/* malloc(1); exit(1); "engine/../plan.c" */' >"$planted/$folder/sample.h"
    done
    echo '#include "sample.h"' >"$planted/engine/io/other.h"
    printf '    ROW(%s) \\\n' cam cutmix >"$planted/engine/methods/method.h"
    cat >"$planted/engine/plan/sample.c" <<'END'
#include "base/sample.h"
struct list { void (*free)(int); };
int printf(const char *, ...);
void adl_free(struct list *x);
void adl_free(struct list *x) { x->free(printf("exit(1)")); } // abort()
END
    echo 'void adl_free(void *x); void g(void *x); void g(void *x) { adl_free(x); }' \
        >"$planted/engine/wsol/sample.c"
}

compile_planted() {
    local file
    (cd "$planted" && find server models engine -name '*.c') | while read -r file; do
        mkdir -p "$planted/objects/${file%/*}"
        # shellcheck disable=SC2086 # CC may hold several words
        (cd "$planted" && ${CC:-cc} -w -Iengine -I. -c -o "objects/$file.o" "$file") || return
    done
}

# report_of RULE WHAT: a verdict on the planted tree, in which only RULE is broken.
report_of() {
    local rule=$1 what=$2 report
    report=$(OBJ=objects "$script" --only "$planted")
    if [ "$(grep '^FAIL' <<<"$report")" = "${rule:+FAIL $rule}" ]; then
        passed=$((passed + 1))
        echo "ok   self-test: ${rule:-no rule} finds $what"
    else
        failed=$((failed + 1))
        echo "FAIL self-test: ${rule:-no rule} alone should find $what"
        indent "$report"
    fi
}

# plant RULE FILE LINE: RULE alone has to find LINE at the end of FILE. Nothing is
# compiled, so the line need not make sense.
plant() {
    plant_tree
    printf '%s\n' "$3" >>"$planted/$2"
    report_of "$1" "'$3' in $2"
}

# plant_calls RULE WHAT FILE TEXT [FILE TEXT]...: the same for files that are
# compiled, each with TEXT in place of what it was.
plant_calls() {
    local rule=$1 what=$2
    shift 2
    plant_tree
    while [ $# -gt 0 ]; do
        printf '%s\n' "$2" >"$planted/$1"
        shift 2
    done
    if compile_planted; then
        report_of "$rule" "$what"
    else
        failed=$((failed + 1))
        echo "FAIL self-test: the tree with $what does not compile"
    fi
}

plant_calls '' 'anything in a clean tree'
plant layering engine/base/sample.h '#include "graph/sample.h"'
plant layering engine/io/sample.h '#include "image/sample.h"'
plant layering engine/plan/sample.c '#include "train/sample.h"'
plant layering engine/wsol/sample.h '#include "data/sample.h"'
plant layering engine/data/sample.h '#include "eval/sample.h"'
plant layering engine/eval/sample.h '#include "models/sample.h"'
plant layering engine/plan/sample.c '#include "models/sample.h"'
plant layering models/sample.h '#include "server/tasks/sample.h"'
plant layering models/backbones/sample.h '#include "models/sample.h"'
plant layering models/sample.h '#include "models/file/sample.h"'
plant layering models/file/sample.h '#include "models/onnx/sample.h"'
plant layering server/api/sample.h '#include "elsewhere.h"'
plant layering server/tasks/sample.h '#include "server/options/sample.h"'
plant layering server/http/sample.h '#include "server/tasks/sample.h"'
plant layering server/serving/sample.h '#include "server/api/sample.h"'
plant layering server/training/sample.h '#include "server/report/sample.h"'
plant layering server/report/sample.h '#include "server/commands/sample.h"'
plant_calls calls_follow_layering 'a call that runs back up without an include' \
    engine/base/low.c 'int high(void); int low(void) { return high(); }' \
    engine/plan/high.c 'int high(void) { return 1; }'
plant_calls calls_follow_layering 'a table of a higher folder that is declared by hand' \
    server/http/low.c 'int low(void) { extern const int rows[]; return rows[1]; }' \
    server/api/high.c 'const int rows[] = {1, 2};'
plant_calls calls_follow_layering 'a call between folders of one level' \
    engine/wsol/one.c 'int other(void); int one(void) { return other(); }' \
    engine/data/other.c 'int other(void) { return 1; }'
plant no_circles engine/io/sample.h '#include "sample.h"'
plant no_circles engine/io/sample.h '#include "io/other.h"'
plant_calls no_circles 'two files that include each other' \
    engine/io/one.h 'int one(void);' \
    engine/io/one.c '#include "two.h"' \
    engine/io/two.h 'int two(void);' \
    engine/io/two.c '#include "one.h"'
plant_calls no_circles 'two files that call each other' \
    models/one.c 'int two(void); int one(void) { return two(); }' \
    models/two.c 'int one(void); int two(void) { return one(); }'
plant_calls no_circles 'three files, two calls and an include' \
    server/api/one.c 'int two(void); int one(void) { return two(); }' \
    server/api/two.c 'extern int three; int two(void) { return three; }' \
    server/api/three.h '#include "server/api/one.h"' \
    server/api/three.c 'int three = 3;' \
    server/api/one.h 'int one(void);'
plant only_main_in_server server/sample.h ''
plant includes_no_source models/sample.h '#include <sample.c>'
plant one_allocator engine/plan/sample.c 'void *g(void) { return malloc(1); }'
plant one_allocator server/api/sample.h 'x = y ? strdup (z) : 0;'
plant one_blas_caller engine/plan/sample.c '#include <cblas.h>'
plant methods_by_their_row models/sample.c 'x = &adl_method_cam;'
plant methods_by_their_row server/tasks/sample.c 'x = "cutmix-prob";'
plant only_main_exits server/api/sample.h 'static void g(void) { exit(1); }'
plant kernels_stand_alone engine/kernels/avx2.c '#include <string.h>'
plant kernels_stand_alone engine/kernels/neon.c '#include <string.h>'
plant kernels_stand_alone engine/kernels/kernel.h 'static inline int g(void) { return 1; }'
plant kernels_stand_alone engine/kernels/winograd.h 'static inline int g(void) { return 1; }'
plant kernels_stand_alone engine/kernels/x_loops.h 'void g(float *x) { *x = 1; }'

echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
[ "$failed" -eq 0 ]
