#!/usr/bin/env bash
# QEMU's Cortex-M4 says that it has a cycle counter, takes the enable bit, and counts nothing
#
# Versions: qemu-system-arm 7.2 (Debian 12), machine mps2-an386.
# Expected: DWT.CYCCNT counts, or DWT_CTRL.NOCYCCNT (bit 25) reads 1, or the access faults.
# Happens: the whole DWT reads as zero and ignores writes, without a fault. NOCYCCNT is 0, that is
#   "there is a counter", so the usual test for one (cortex-m's `has_cycle_counter`) says yes.
#   Only `-d unimp` tells. SysTick works, and with `-icount shift=0` it counts exactly: one
#   instruction is a nanosecond, 40 of them one tick of the 25 MHz clock.
# Seen 2026-11-28, with -icount shift=0, a loop of 200,000 instructions:
#   NOCYCCNT 0, enable bit after setting it 0, CYCCNT 0, SysTick 4999
# For users: code that measures or waits by CYCCNT sees no time pass there. Check that it moves, or
#   use SysTick.
set -euo pipefail
dpkg-query -W qemu-system-arm binutils-arm-none-eabi ||
    apt-get install -qq -y qemu-system-arm binutils-arm-none-eabi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > probe.s <<'EOF'
.syntax unified
.cpu cortex-m4
.thumb
.word 0x20010000, reset + 1     @ stack, entry; a fault stops QEMU with an error

.thumb_func
reset:  ldr r6, =out
        ldr r4, =0xE000EDFC     @ DEMCR: switch the DWT on
        ldr r1, [r4]
        orr r1, #0x01000000
        str r1, [r4]
        ldr r4, =0xE0001000     @ DWT_CTRL
        ldr r1, [r4]
        ubfx r1, r1, #25, #1    @ NOCYCCNT
        stm r6!, {r1}
        ldr r1, [r4]
        orr r1, #1              @ CYCCNTENA
        str r1, [r4]
        ldr r1, [r4]
        and r1, #1
        stm r6!, {r1}
        bl spend
        ldr r1, [r4, #4]        @ CYCCNT
        stm r6!, {r1}
        ldr r4, =0xE000E010     @ SysTick: full reload, processor's clock
        ldr r0, =0xFFFFFF
        movs r1, #5
        str r0, [r4, #4]
        str r0, [r4, #8]
        str r1, [r4]
        bl spend
        ldr r1, [r4, #8]
        subs r1, r0, r1
        stm r6!, {r1}
        movs r0, #1             @ semihosting: open standard output, write the four words, exit
        ldr r1, =open
        bkpt 0xAB
        ldr r1, =write
        str r0, [r1]
        movs r0, #5
        bkpt 0xAB
        movs r0, #0x18
        ldr r1, =0x20026
        bkpt 0xAB

spend:  ldr r5, =100000
1:      subs r5, #1
        bne 1b
        bx lr

.data
open:   .word name, 4, 3
write:  .word 0, out, 16
out:    .word 0, 0, 0, 0
name:   .asciz ":tt"
EOF
arm-none-eabi-as probe.s -o probe.o
arm-none-eabi-ld -Ttext 0 -Tdata 0x20000000 -e 0 probe.o -o probe
timeout 30 qemu-system-arm -M mps2-an386 -nographic -icount shift=0 \
    -semihosting-config enable=on,target=native -kernel probe < /dev/null > words
read -r no enabled cycles ticks < <(od -An -tu4 words)
seen="NOCYCCNT $no, enable bit after setting it $enabled, CYCCNT $cycles, SysTick $ticks"
expected='NOCYCCNT 0, enable bit after setting it 0, CYCCNT 0, SysTick 4999'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'
