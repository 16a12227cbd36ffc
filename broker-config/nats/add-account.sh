#!/bin/sh
# Gives accounts of NATS server a new random password each and the rights that Dunlin's programs
# need, and prints name and password once.
#
#   add-account.sh NAME...        a device's id, dunlin-aggregator, dunlin-monitor
#
# ACCOUNTS is the file (/etc/nats/accounts.conf). `nats-server --signal reload` makes it known. An
# account is one line in it: strike that of a lost device. `/` of a topic is `.` in permissions.
set -eu
umask 077
file=${ACCOUNTS:-/etc/nats/accounts.conf}
[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }

for name in "$@"; do
    case $name in
        '' | *[!A-Za-z0-9_-]*)
            echo "add-account.sh: '$name' is not a name: letters, digits, '_' and '-' only" >&2
            exit 1
            ;;
    esac
done

# list SUBJECT...: as an array; what an MQTT client hears comes by $MQTT.sub.
list() {
    out=
    for subject in "$@"; do out="$out${out:+, }\"$subject\""; done
    printf '[%s]' "$out"
}

rights() {
    case $1 in
        dunlin-aggregator*)
            write=$(list 'dunlin.v1.dev.*.down.>' 'dunlin.v1.fed.>' 'dunlin.v1.srv.>')
            read=$(list 'dunlin.v1.dev.*.state' 'dunlin.v1.dev.*.up.>' 'dunlin.v1.fed.>' \
                'dunlin.v1.srv.>' '$MQTT.sub.>')
            ;;
        dunlin-monitor)
            write='[]'
            read=$(list 'dunlin.v1.dev.*.state' 'dunlin.v1.dev.*.out.*' 'dunlin.v1.fed.*.plan' \
                'dunlin.v1.srv.*.state' '$MQTT.sub.>')
            ;;
        dunlin-*) echo "add-account.sh: '$1' is a name of the installation" >&2; exit 1 ;;
        *)
            own="dunlin.v1.dev.$1"
            write=$(list "$own.state" "$own.up.>" "$own.out.*")
            read=$(list "$own.state" "$own.down.*" "$own.out.doctor" 'dunlin.v1.fed.*.plan' \
                'dunlin.v1.fed.*.obj.>' 'dunlin.v1.srv.*.state' '$MQTT.sub.>')
            ;;
    esac
    # An empty list allows everything: a subject that nobody has is allowed instead.
    [ "$write" != '[]' ] || write='["dunlin.nothing"]'
    printf '{publish: {allow: %s}, subscribe: {allow: %s}}' "$write" "$read"
}

[ -e "$file" ] || printf 'users = [\n]\n' >"$file"
for name in "$@"; do
    permissions=$(rights "$name")
    password=$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    line="  {user: \"$name\", password: \"$password\", permissions: $permissions}"
    { grep -v -e "user: \"$name\"," -e '^]$' "$file"; printf '%s\n]\n' "$line"; } >"$file.new"
    mv "$file.new" "$file"
    echo "$name $password"
done
