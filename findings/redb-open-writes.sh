#!/usr/bin/env bash
# redb changes a database's file by opening it, also when nothing is written
#
# Versions: redb 4.6.0.
# Expected: a database that is opened and closed, with no transaction or with one that is aborted, is the
#   same file byte for byte, so that a program can look at a version number in it and leave the file alone.
# Happens: `Database::create` and `Database::open` change bytes of the file, although no data changed.
#   `ReadOnlyDatabase::open` changes nothing.
# Seen 2026-11-29, a file with one row, then each way of opening a copy of it:
#   read: unchanged
#   create: changed
#   open: changed
#   abort: changed
# For users: a program that must leave a newer version's file untouched has to look at it with
#   `ReadOnlyDatabase` first; copies and backups are not to be compared by their digests.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export CARGO_TARGET_DIR=$dir/target
mkdir src
cat > Cargo.toml <<'EOF'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[dependencies]
redb = "=4.6.0"
EOF
cat > src/main.rs <<'EOF'
use redb::{Database, ReadOnlyDatabase, ReadableDatabase, TableDefinition};

const TABLE: TableDefinition<u32, &str> = TableDefinition::new("numbers");

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (how, path) = (arguments.next().unwrap(), arguments.next().unwrap());
    match how.as_str() {
        "write" => {
            let database = Database::create(&path).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction.open_table(TABLE).unwrap().insert(1, "one").unwrap();
            transaction.commit().unwrap();
        }
        "create" => drop(Database::create(&path).unwrap()),
        "open" => drop(Database::open(&path).unwrap()),
        "abort" => {
            let database = Database::open(&path).unwrap();
            database.begin_write().unwrap().abort().unwrap();
        }
        _ => {
            let database = ReadOnlyDatabase::open(&path).unwrap();
            let read = database.begin_read().unwrap();
            assert_eq!(read.open_table(TABLE).unwrap().get(1).unwrap().unwrap().value(), "one");
        }
    }
}
EOF
cargo build --quiet
target/debug/probe write a.redb
seen=''
for how in read create open abort; do
    cp a.redb "$how.redb"
    target/debug/probe "$how" "$how.redb"
    if cmp -s a.redb "$how.redb"; then same=unchanged; else same=changed; fi
    echo "$how: $same"
    seen="$seen$how: $same;"
done
[ "$seen" = 'read: unchanged;create: changed;open: changed;abort: changed;' ]
