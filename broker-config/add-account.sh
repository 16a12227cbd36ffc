#!/bin/sh
# Gives accounts of a password file a new random password each, and prints them once.
#
#   add-account.sh NAME...        a device's id, dunlin-aggregator, dunlin-monitor
#
# PASSWORDS is the file (/etc/mosquitto/dunlin/passwords). Tell Mosquitto with
# `systemctl reload mosquitto`.
set -eu
umask 077
file=${PASSWORDS:-/etc/mosquitto/dunlin/passwords}
[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }

for name in "$@"; do
    case $name in
        '' | *[!A-Za-z0-9_-]*)
            echo "add-account.sh: '$name' is not a name: letters, digits, '_' and '-' only" >&2
            exit 1
            ;;
    esac
    [ ${#name} -le 64 ] || { echo "add-account.sh: '$name' is longer than 64 characters" >&2; exit 1; }
done

mkdir -p "$(dirname "$file")"
[ -e "$file" ] || : >"$file"
printed=
for name in "$@"; do
    password=$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    mosquitto_passwd -b "$file" "$name" "$password"
    printed="$printed$name $password
"
done
# The broker runs as `mosquitto` and has to read the file; nobody else has.
if [ "$(id -u)" = 0 ] && id mosquitto >/dev/null 2>&1; then
    chown mosquitto: "$file"
fi
chmod 600 "$file"
printf '%s' "$printed"
