#!/usr/bin/env bash
# What tests/soak/package.sh runs in its Debian, with systemd or in a chroot without.
set -u
cd /packages || exit 1
# shellcheck source=/dev/null
. /packages/verdict.sh
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

url=http://127.0.0.1:8080
systemd=''
[ ! -d /run/systemd/system ] || systemd=1
started=''

# listing: all files but those of the kernel, of this test, and what a running system writes:
# journals, random seeds, state of systemd's own services, and lists and logs of dpkg.
listing() {
    find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp \
        -o -path /packages -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/systemd/timers \
        -o -path /var/lib/systemd/catalog -o -path /var/cache \) -prune -o -print |
        grep -vE '^/var/lib/(systemd/(random-seed|timesync.*|linger|coredump)|private$)' | sort
}
# The package's own entries in dpkg's directory, which a purge removes.
of_dpkg() { find /var/lib/dpkg -name '*adl-server*'; }

# waits until the server answers, and prints the status.
answers() {
    local code
    for _ in {1..200}; do
        code=$(curl -s -m 60 -o /packages/answer -w '%{http_code}' -H 'Content-Type: image/jpeg' \
            --data-binary @umbrella.jpg "$url/localize")
        [ "$code" != 200 ] || break
        sleep 0.2
    done
    echo "$code"
}
# The command of the unit, as its service manager would start it.
start_by_hand() {
    local command
    command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/adl-server.service)
    # shellcheck disable=SC2086 # a command with its arguments
    $command 2>/packages/log &
    started=$!
}
stop_by_hand() {
    [ -z "$started" ] || { kill "$started"; wait "$started"; } 2>/dev/null
    started=''
}
pid() { systemctl show -P MainPID adl-server.service; }
link=/etc/systemd/system/multi-user.target.wants/adl-server.service

listing >before
of_dpkg >before.dpkg
[ ! -s before.dpkg ]
verdict $? "the package is not there yet"

# --- install -------------------------------------------------------------------------------------
dpkg -i old.deb >install.log 2>&1
verdict $? "dpkg -i: all that it depends on is there"
[ "$(dpkg-query -W -f '${Status}' adl-server)" = "install ok installed" ]
verdict $? "installed"
[ -L $link ] && [ -e "$(readlink -f $link)" ]
verdict $? "the service is enabled"
[ ! -e /etc/systemd/system/sockets.target.wants/adl-server.socket ]
verdict $? "the socket is not"
findings=$(systemd-analyze verify --man=no adl-server.service adl-server.socket 2>&1 | grep -i adl-server)
[ -z "$findings" ]
verdict $? "systemd-analyze verify has nothing to say: $findings"
[ -n "$systemd" ] || start_by_hand
code=$(answers)
[ "$code" = 200 ] && grep -q '"umbrella"' answer
verdict $? "it serves: $code, $(grep -o '"label":"[^"]*"' answer)"
if [ -n "$systemd" ]; then
    [ "$(systemctl is-active adl-server.service)" = active ]
    verdict $? "as the service that the installation has started"
    [ "$(stat -c %U /proc/"$(pid)")" != root ]
    verdict $? "under a user of its own: $(stat -c %U:%u /proc/"$(pid)")"
fi
echo '# mine' >>/etc/default/adl-server
echo secret-token >/etc/adl-server/token

# --- upgrade ---------------------------------------------------------------------------------------
if [ -n "$systemd" ]; then
    was=$(pid)
    dpkg -i new.deb >upgrade.log 2>&1
    verdict $? "an upgrade"
    [ "$(answers)" = 200 ]
    verdict $? "serves again"
    [ "$(pid)" != "$was" ] && [ "$(pid)" != 0 ]
    verdict $? "by another process: $was, $(pid)"
    systemctl disable --now adl-server.service 2>/dev/null
    dpkg -i new.deb >>upgrade.log 2>&1
    [ "$(systemctl is-active adl-server.service)/$(systemctl is-enabled adl-server.service)" = inactive/disabled ]
    verdict $? "what was disabled and stopped stays so: $(systemctl is-active adl-server.service)"
    systemctl enable --now adl-server.socket 2>/dev/null
    dpkg -i new.deb >>upgrade.log 2>&1
    [ "$(systemctl is-active adl-server.socket)" = active ] && [ "$(answers)" = 200 ]
    verdict $? "a socket that was enabled stays active, and starts the service"
else
    stop_by_hand
    dpkg -i new.deb >upgrade.log 2>&1
    verdict $? "an upgrade"
    start_by_hand
    [ "$(answers)" = 200 ]
    verdict $? "serves again"
    stop_by_hand
fi
[ "$(dpkg-query -W -f '${Version}' adl-server | grep -c next1)" = 1 ] &&
    grep -q '^# mine' /etc/default/adl-server && [ -s /etc/adl-server/token ]
verdict $? "settings and tokens are kept"
! grep -iE 'warn|error' upgrade.log
verdict $? "without a warning"

# --- remove and purge --------------------------------------------------------------------------------
dpkg -r adl-server >remove.log 2>&1
verdict $? "a removal"
code=$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$url/healthz")
[ "$code" = 000 ]
verdict $? "nobody answers any more: $code"
if [ -n "$systemd" ]; then
    [ "$(systemctl is-active adl-server.service adl-server.socket | sort -u)" = inactive ]
    verdict $? "neither service nor socket"
fi
grep -q '^# mine' /etc/default/adl-server && [ -s /etc/adl-server/token ]
verdict $? "settings and tokens are still there"
dpkg -P adl-server >purge.log 2>&1
verdict $? "a purge"
listing >after
diff before after
verdict $? "leaves nothing"
[ -z "$(of_dpkg)" ]
verdict $? "and dpkg knows of nothing"

# --- again, as somebody who changed his mind ------------------------------------------------------------
dpkg -i new.deb >again.log 2>&1 && [ -L $link ]
verdict $? "another installation enables the service again"
dpkg -P adl-server >>again.log 2>&1
verdict $? "and is purged in one go"
listing | diff before -
verdict $? "which leaves nothing"

summary
