# Joins the ES modules that one module imports, directly or not, into one module without
# imports, so that a browser gets a page and its scripts in one round trip:
#
#     awk -v root=web -v entry=app.js -v late=DIR -f join_modules.awk
#
# Each module becomes a function that runs once, in the order in which a browser would run them,
# and returns what the module exports; its imports are constants at its beginning:
#
#     import { a, b as c } from './x.js';     const { a, b: c } = $3;
#     import * as x from './x.js';            const x = $3;
#     import('./x.js')                        Promise.resolve($3), where the page has the module
#     export function f() {}                  function f() {}  and  return { f };
#
# So every module keeps its own names.
#
# A module that is imported by import() alone is a late part: it goes, with what it imports and the
# page does not have, into the file DIR/1, DIR/2 ..., a module whose default export is a function of
# those modules of the page that the part uses, so that both have the same state. The names of the
# parts are printed into DIR/names. The page gets @part1@ in place of an address, which is for the
# caller to fill in:
#
#     import('./x.js')                        ($p1 ??= import('@part1@').then((p) => p.default($3, $5)))
#
# Comments and blanks at the beginning of a line are left out.
#
# What cannot be said in this way is refused in one line on stderr and with exit status 3: modules that
# import each other in a circle, two late parts that share a module which the page does not have, late
# parts of late parts, a backquote that is no part of a template, `export let` (whose importers would
# see later values), `export default`, and `await` outside of functions. Statements are recognised by
# the word at the beginning of their first line, and end with a line that ends with a semicolon or a
# brace. With -v list=1 only the names of the modules are printed that a page fetches at once,
# whatever they contain.

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

# Says that the part that is being joined uses a module of the page.
function use(from, number,    owner) {
    owner = part_of[number]
    if (owner == part)
        return
    if (owner != 0)
        refuse(from, "is a late part and imports " names[number] ", which another late part has")
    if (index(used[part] ",", " $" number ",") == 0)
        used[part] = used[part] (used[part] == "" ? "" : ",") " $" number
}

function add_import(path, statement,    name, number) {
    number = load(path, resolve(path, source_of(statement)))
    use(path, number)
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

# Replaces each import('./x.js') of a line by a mark, \001 with the path, because only at the end it is
# known whether the page has that module.
function join_dynamic(path, line,    out, call) {
    out = ""
    while (match(line, /import\([ \t]*['"]\.[^'"]+['"][ \t]*\)/)) {
        call = substr(line, RSTART, RLENGTH)
        out = out substr(line, 1, RSTART - 1)
        line = substr(line, RSTART + RLENGTH)
        sub(/^[^'"]*['"]/, "", call)
        sub(/['"].*$/, "", call)
        call = resolve(path, call)
        asked[++asks] = call
        asker[asks] = path
        out = out "\001" call "\001"
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

function load(from, path,    file, line, head, body, statement, found, number, list_of, name, template) {
    if (path in numbers) {
        if (!done[path])
            refuse(from, "imports " path ", which imports it in turn")
        return numbers[path]
    }
    numbers[path] = number = ++count
    names[number] = path
    part_of[number] = part
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
                list_of = names_of(statement, " as ")
                while (list_of != "") {
                    name = list_of
                    sub(/,.*$/, "", name)
                    if (!sub(/^[^,]*,/, "", list_of))
                        list_of = ""
                    gsub(/[ \t]/, " ", name)
                    gsub(/^ +| +$/, "", name)
                    if (name ~ / as /)
                        add_export(path, substr(name, index(name, " as ") + 4) ": " \
                            substr(name, 1, index(name, " as ") - 1))
                    else if (name != "")
                        add_export(path, name)
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
        # Blanks that begin a line are left out as well, except within a template.
        if (!template)
            sub(/^[ \t]+/, "", line)
        if (gsub(/`/, "`", line) % 2)
            template = !template
        if (template || line != "")
            body = body line "\n"
    }
    close(file)
    if (template)
        refuse(path, "has a backquote too many, so that templates cannot be told")
    if (found < 0)
        refuse(from, "imports " path ", which does not exist")
    if (list)
        print path
    else
        text[part] = text[part] "const $" number " = (() => { /* " path " */\n" head body "return { " \
            exports[path] " };\n})();\n"
    done[path] = 1
    return number
}

# Replaces the marks of join_dynamic in what belongs to the page or to a part.
function fill_in(joined, of,    out, mark, path, number) {
    out = ""
    while (match(joined, /\001[^\001]*\001/)) {
        mark = substr(joined, RSTART, RLENGTH)
        out = out substr(joined, 1, RSTART - 1)
        joined = substr(joined, RSTART + RLENGTH)
        path = substr(mark, 2, length(mark) - 2)
        number = numbers[path]
        if (part_of[number] == 0 || part_of[number] == of) {
            if (part_of[number] != of && index(used[of] ",", " $" number ",") == 0)
                used[of] = used[of] (used[of] == "" ? "" : ",") " $" number
            out = out "Promise.resolve($" number ")"
        } else {
            if (of != 0 || entry_of[part_of[number]] != path)
                refuse(path, "is imported late from where it cannot be")
            out = out "($p" part_of[number] " ??= import('@part" part_of[number] \
                "@').then((p) => p.default(" substr(used[part_of[number]], 2) ")))"
        }
    }
    return out joined
}

BEGIN {
    part = 0 # the page
    load(entry, entry)
    # What the page has is known now; everything else that was asked for begins a late part.
    for (ask = 1; ask <= asks; ask++) {
        if (list || asked[ask] in numbers)
            continue
        part = ++parts_made
        entry_of[part] = asked[ask]
        load(asker[ask], asked[ask])
    }
    if (list)
        exit 0
    if (parts_made > 0 && late == "")
        refuse(entry_of[1], "is a late part, and there is no directory for it")
    for (part = 1; part <= parts_made; part++)
        text[part] = fill_in(text[part], part)
    text[0] = fill_in(text[0], 0)
    for (part = 1; part <= parts_made; part++) {
        print entry_of[part] > (late "/names")
        printf "export default (%s) => {\n%sreturn $%d;\n};\n", substr(used[part], 2), text[part],
            numbers[entry_of[part]] > (late "/" part)
        printf "let $p%d;\n", part
    }
    printf "%s", text[0]
}
