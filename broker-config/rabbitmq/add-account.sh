#!/bin/sh
# Gives accounts of RabbitMQ a new random password each and the rights that Dunlin's programs need,
# and prints name and password once.
#
#   add-account.sh NAME...        a device's id, dunlin-aggregator, dunlin-monitor
#
# RABBITMQCTL is the program (rabbitmqctl); the broker must run. Rights hold at once. A lost device:
# `rabbitmqctl delete_user NAME`. Take away the account that RabbitMQ comes with:
# `rabbitmqctl delete_user guest`. `/` of a topic is `.` in permissions.
set -eu
ctl=${RABBITMQCTL:-rabbitmqctl}
[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }

for name in "$@"; do
    case $name in
        '' | *[!A-Za-z0-9_-]*)
            echo "add-account.sh: '$name' is not a name: letters, digits, '_' and '-' only" >&2
            exit 1
            ;;
    esac
    case $name in
        dunlin-aggregator*)
            write='^dunlin\.v1\.(dev\.[^.]+\.down|fed|srv)\..+$'
            read='^dunlin\.v1\.(dev\.[^.]+\.(state|up\..+)|(fed|srv)\..+)$'
            ;;
        dunlin-monitor)
            write='^$'
            read='^dunlin\.v1\.(dev\.[^.]+\.(state|out\.[^.]+)|fed\.[^.]+\.plan|srv\.[^.]+\.state)$'
            ;;
        dunlin-*) echo "add-account.sh: '$name' is a name of the installation" >&2; exit 1 ;;
        *)
            # RabbitMQ puts the name of whoever asks in place of {username}.
            write='^dunlin\.v1\.dev\.{username}\.(state|up\..+|out\.[^.]+)$'
            read='^dunlin\.v1\.(dev\.{username}\.(state|down\.[^.]+|out\.doctor)|fed\.[^.]+\.(plan|obj\..+)|srv\.[^.]+\.state)$'
            ;;
    esac
    password=$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    if ! "$ctl" -q add_user "$name" "$password" >/dev/null 2>&1; then
        "$ctl" -q change_password "$name" "$password" >/dev/null
    fi
    # The queue of the client's own subscriptions, and the exchange of all topics.
    "$ctl" -q set_permissions -p / "$name" '^mqtt-subscription-.*$' \
        '^(mqtt-subscription-.*|amq\.topic)$' '^(mqtt-subscription-.*|amq\.topic)$' >/dev/null
    "$ctl" -q set_topic_permissions -p / "$name" amq.topic "$write" "$read" >/dev/null
    echo "$name $password"
done
