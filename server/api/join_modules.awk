# Joins the ES modules that one module imports, directly or not, into one module without
# imports, so that a browser gets a page and its scripts in one round trip:
#
#     awk -v root=web -v entry=app.js -f join_modules.awk
#
# Each module becomes a function that runs once, in the order in which a browser would run them,
# and returns what the module exports; its imports are constants at its beginning:
#
#     import { a, b as c } from './x.js';     const { a, b: c } = $3;
#     import * as x from './x.js';            const x = $3;
#     import('./x.js')                        Promise.resolve($3)
#     export function f() {}                  function f() {}  and  return { f };
#
# So every module keeps its own names. What cannot be said in this way is refused in one line on
# stderr and with exit status 3: modules that import each other in a circle, `export let` (whose
# importers would see later values), `export default`, and `await` outside of functions. Statements
# are recognised by the word at the beginning of their first line, and end with a line that ends
# with a semicolon or a brace. With -v list=1 only the names of the modules are
# printed, whatever they contain.

function refuse(path, why) {
    if (list)
        return
    print path ": " why > "/dev/stderr"
    failed = 1
    exit 3
}

# The path below the root that a module names by `name`, which begins with ./ or ../
function resolve(path, name,    folder) {
    folder = path
    if (!sub(/\/[^\/]*$/, "", folder))
        folder = ""
    while (name ~ /^\.\.?\//) {
        if (name ~ /^\.\.\// && !sub(/\/?[^\/]*$/, "", folder))
            refuse(path, "imports " name ", which lies outside")
        sub(/^\.\.?\//, "", name)
    }
    return folder == "" ? name : folder "/" name
}

# What an import or export names after `from`, or an import alone; "" if nothing.
function source_of(statement) {
    if (!match(statement, /['"][^'"]+['"][ \t]*;?[ \t]*$/))
        return ""
    statement = substr(statement, RSTART + 1)
    sub(/['"].*$/, "", statement)
    return statement
}

# The names between braces, with `between` in place of " as ".
function names_of(statement, between,    names) {
    names = statement
    sub(/^[^{]*\{/, "", names)
    sub(/\}.*$/, "", names)
    gsub(/[ \t]+as[ \t]+/, between, names)
    return names
}

function add_import(path, statement,    name, number) {
    number = load(path, resolve(path, source_of(statement)))
    if (statement ~ /^import[ \t]*['"]/)
        return ""
    if (statement ~ /^import[ \t]*\*/) {
        name = statement
        sub(/^import[ \t]*\*[ \t]*as[ \t]+/, "", name)
        sub(/[^A-Za-z0-9_$].*$/, "", name)
        return "const " name " = $" number ";\n"
    }
    if (statement !~ /^import[ \t]*\{/)
        refuse(path, "cannot be joined: " statement)
    return "const {" names_of(statement, ": ") "} = $" number ";\n"
}

# Replaces each import('./x.js') of a line.
function join_dynamic(path, line,    out, call, number) {
    out = ""
    while (match(line, /import\([ \t]*['"]\.[^'"]+['"][ \t]*\)/)) {
        call = substr(line, RSTART, RLENGTH)
        out = out substr(line, 1, RSTART - 1)
        line = substr(line, RSTART + RLENGTH)
        sub(/^[^'"]*['"]/, "", call)
        sub(/['"].*$/, "", call)
        number = load(path, resolve(path, call))
        out = out "Promise.resolve($" number ")"
    }
    return out line
}

# `exports` of the module that is being read, by its path.
function add_export(path, text) {
    exports[path] = exports[path] (exports[path] == "" ? "" : ", ") text
}

function exported_name(line) {
    sub(/^export[ \t]+(async[ \t]+)?(function[ \t]*\*?|class|const)[ \t]+/, "", line)
    sub(/[^A-Za-z0-9_$].*$/, "", line)
    return line
}

function load(from, path,    file, line, head, body, statement, found, number, names, part) {
    if (path in numbers) {
        if (!done[path])
            refuse(from, "imports " path ", which imports it in turn")
        return numbers[path]
    }
    numbers[path] = number = ++count
    file = root "/" path
    while ((found = (getline line < file)) > 0) {
        # Comments that begin a line are left out; most of them are types.
        if (line ~ /^[ \t]*\/\*/) {
            while (line !~ /\*\// && (getline line < file) > 0)
                ;
            sub(/^([^*]|\*+[^*\/])*\*+\//, "", line)
            if (line ~ /^[ \t]*$/)
                continue
        }
        if (line ~ /^(import[ \t]*[*{'"]|import[ \t]+[A-Za-z_$]|export[ \t]*[*{])/) {
            statement = line
            while (statement !~ /;[ \t]*$/ && (getline line < file) > 0)
                statement = statement " " line
            if (statement ~ /^import/) {
                head = head add_import(path, statement)
            } else if (source_of(statement) == "") {
                names = names_of(statement, " as ")
                while (names != "") {
                    part = names
                    sub(/,.*$/, "", part)
                    if (!sub(/^[^,]*,/, "", names))
                        names = ""
                    gsub(/[ \t]/, " ", part)
                    gsub(/^ +| +$/, "", part)
                    if (part ~ / as /)
                        add_export(path, substr(part, index(part, " as ") + 4) ": " \
                            substr(part, 1, index(part, " as ") - 1))
                    else if (part != "")
                        add_export(path, part)
                }
            } else {
                refuse(path, "exports what another module defines")
            }
            continue
        }
        if (line ~ /^export[ \t]+(async[ \t]+)?(function|class|const)/) {
            if (exported_name(line) == "")
                refuse(path, "cannot be joined: " line)
            add_export(path, exported_name(line))
            sub(/^export[ \t]+/, "", line)
        } else if (line ~ /^export/) {
            refuse(path, "cannot be joined: " line)
        } else if (line ~ /^(const .*= )?await /) {
            refuse(path, "waits outside of a function")
        }
        if (line ~ /<\/script|<!--/)
            refuse(path, "contains what ends or hides a script in HTML: " line)
        if (line ~ /import\(/)
            line = join_dynamic(path, line)
        gsub(/import\.meta\.url/, "new URL('" path "', document.baseURI).href", line)
        body = body line "\n"
    }
    close(file)
    if (found < 0)
        refuse(from, "imports " path ", which does not exist")
    if (list)
        print path
    else
        printf "const $%d = (() => { /* %s */\n%s%sreturn { %s };\n})();\n", number, path, head, body, exports[path]
    done[path] = 1
    return number
}

BEGIN {
    load(entry, entry)
}
