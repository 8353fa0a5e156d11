#!/bin/sh
# Says what this machine lacks for real-time scheduling of vla-run and vla-host, and grants it.
#
#   deploy/realtime.sh                          a table; needs no root, changes nothing
#   sudo deploy/realtime.sh --apply [USER...]   grants it to USER (default: who called sudo)
#   deploy/realtime.sh --apply --dry-run        says what --apply would do
#
# Exit codes: 0 all that is needed is there, 1 something is missing, 2 wrong usage or no root.
# What is only better with it (a PREEMPT_RT kernel, isolated cores) is never set here, and does not count.
set -eu

ROOT=${VLA_REALTIME_ROOT:-}   # another file tree, for the tests
GROUP=realtime
LIMITS=/etc/security/limits.d/99-vla.conf
PRIORITY=95
NEEDED=31         # host_priority of the shipped configs, and the thread that carries the host's messages one above

mode=check
dry=
users=
missing=0

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
        --check) mode=check ;;
        --apply) mode=apply ;;
        --dry-run) dry=1 ;;
        -h | --help) usage; exit 0 ;;
        -*) echo "realtime.sh: unknown option $1; valid: --check, --apply, --dry-run, --help" >&2; exit 2 ;;
        *) users="$users $1" ;;
    esac
    shift
done

content() {
    cat "$ROOT$1" 2>/dev/null || true
}

row() {
    printf '%-8s %-18s %s\n' "$1" "$2" "$3"
}

lacks() {
    row missing "$1" "$2"
    missing=1
}

# The soft limit of /proc/self/limits whose name is $1.
limit() {
    content /proc/self/limits | sed -n "s/^$1  *\([^ ][^ ]*\) .*/\1/p"
}

# Whether this process has capability number $1.
capable() {
    bits=$(content /proc/self/status | sed -n 's/^CapEff:[^0-9a-f]*//p')
    [ $((0x${bits:-0} >> $1 & 1)) = 1 ]
}

governors() {
    for file in "$ROOT"/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
        if [ -e "$file" ]; then echo "$file"; fi
    done
}

check_needed() {
    priority=$(limit 'Max realtime priority')
    if capable 23; then
        row ok 'rtprio' 'CAP_SYS_NICE: any priority'
    elif [ "${priority:-0}" = unlimited ] || [ "${priority:-0}" -ge "$NEEDED" ]; then
        row ok 'rtprio' "$priority"
    else
        lacks 'rtprio' "the limit is ${priority:-0}, $NEEDED or more is needed: --apply, then log in again"
    fi
    memory=$(limit 'Max locked memory')
    if capable 14; then
        row ok 'memlock' 'CAP_IPC_LOCK: no limit'
    elif [ "${memory:-0}" = unlimited ]; then
        row ok 'memlock' unlimited
    else
        lacks 'memlock' "the limit is ${memory:-0} bytes, it must be unlimited: --apply, then log in again"
    fi
    if capable 23 && capable 14; then
        row ok 'group' "not needed by this user"
    elif id -nG | tr ' ' '\n' | grep -qx "$GROUP"; then
        row ok 'group' "you are in $GROUP"
    elif content /etc/group | grep -q "^$GROUP:"; then
        row better 'group' "you are not in $GROUP: usermod -aG $GROUP $(id -un), then log in again"
    else
        row better 'group' "there is no group $GROUP: --apply makes it"
    fi
    share=$(content /proc/sys/kernel/sched_rt_runtime_us)
    case ${share:-unknown} in
        0) lacks 'rt share' 'sched_rt_runtime_us is 0, which forbids real-time scheduling: sysctl -w kernel.sched_rt_runtime_us=950000' ;;
        -1) row ok 'rt share' 'unlimited; a thread that never sleeps would keep its core for ever (950000 prevents it)' ;;
        *) row ok 'rt share' "$share us of each $(content /proc/sys/kernel/sched_rt_period_us) us" ;;
    esac
}

check_better() {
    if [ "$(content /sys/kernel/realtime)" = 1 ] || uname -v | grep -q PREEMPT_RT; then
        row ok 'kernel' "$(uname -r), PREEMPT_RT"
    else
        row better 'kernel' "$(uname -r) without PREEMPT_RT: it may delay a tick by milliseconds now and then"
    fi
    slow=$(governors | while read -r file; do cat "$file"; done | grep -vx performance | sort -u | tr '\n' ' ')
    if [ -z "$(governors)" ]; then
        row ok 'governor' 'none: the clock frequency is not ours to set (a virtual machine, or the firmware)'
    elif [ -n "$slow" ]; then
        row better 'governor' "${slow}instead of performance: --apply sets it until the next boot"
    else
        row ok 'governor' performance
    fi
    isolated=$(content /sys/devices/system/cpu/isolated)
    if [ -n "$isolated" ]; then
        row ok 'isolated cores' "$isolated; name one in realtime.cpus.control"
    else
        row better 'isolated cores' 'none: boot with isolcpus=N rcu_nocbs=N to keep one for the loop (4 cores or more)'
    fi
    quiet=$(content /sys/devices/system/cpu/nohz_full)
    case $quiet in
        '' | '(null)') row better 'tickless cores' 'none: nohz_full=N beside isolcpus=N spares that core the timer tick' ;;
        *) row ok 'tickless cores' "$quiet" ;;
    esac
    case $(content /proc/sys/kernel/timer_migration) in
        1) row better 'timer migration' 'on: sysctl -w kernel.timer_migration=0 keeps timers of other cores away' ;;
        0) row ok 'timer migration' off ;;
        *) row ok 'timer migration' 'the kernel has none' ;;
    esac
    affinity=$(content /proc/irq/default_smp_affinity)
    if [ -n "$isolated" ]; then
        row better 'interrupts' "new ones go to cores $affinity (bit mask); leave out $isolated, and in irqbalance too"
    else
        row ok 'interrupts' "to cores ${affinity:-unknown} (bit mask); of interest once a core is isolated"
    fi
}

act() {
    if [ -n "$dry" ]; then echo "would: $1"; else echo "$1"; fi
}

write_limits() {
    cat <<END
# Written by vla-runtime's deploy/realtime.sh: what vla-run and vla-host may ask of the kernel.
@$GROUP - rtprio $PRIORITY
@$GROUP - memlock unlimited
END
}

apply() {
    if [ -z "$dry" ] && [ "$(id -u)" != 0 ]; then
        echo 'realtime.sh: --apply needs root: sudo deploy/realtime.sh --apply (--dry-run does not)' >&2
        exit 2
    fi
    if content /etc/group | grep -q "^$GROUP:"; then
        echo "group $GROUP is there"
    else
        act "groupadd --system $GROUP"
        if [ -z "$dry" ]; then groupadd --system "$GROUP"; fi
    fi
    if [ -z "$users${SUDO_USER:-}" ]; then echo "nobody named to join $GROUP: --apply USER"; fi
    for user in ${users:-${SUDO_USER:-}}; do
        act "usermod -aG $GROUP $user"
        if [ -z "$dry" ]; then usermod -aG "$GROUP" "$user"; fi
    done
    if [ "$(write_limits)" = "$(content $LIMITS)" ]; then
        echo "$LIMITS is right"
    else
        act "write $LIMITS: rtprio $PRIORITY and memlock unlimited for @$GROUP"
        if [ -z "$dry" ]; then
            mkdir -p "$ROOT${LIMITS%/*}"
            write_limits > "$ROOT$LIMITS"
        fi
    fi
    governors | while read -r file; do
        if [ "$(cat "$file")" != performance ]; then
            act "echo performance > ${file#"$ROOT"}"
            if [ -z "$dry" ]; then echo performance > "$file" || echo "  refused; the driver may not have it" >&2; fi
        fi
    done
    if [ -z "$(governors)" ]; then echo 'no cpufreq governor to set'; fi
    echo 'log in again for the limits to hold; services take theirs from the unit (LimitRTPRIO, LimitMEMLOCK)'
}

if [ "$mode" = apply ]; then
    apply
    exit 0
fi
check_needed
check_better
exit "$missing"
