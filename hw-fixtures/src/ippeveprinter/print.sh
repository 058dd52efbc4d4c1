#!/bin/sh
# A page at a time; stops when the printer is killed. Controls are files:
#   pages     how many pages come out; else those of a plain PDF, and copies, are counted
#   page-time seconds that each page takes
#   hold-N    no more pages after N of them while this exists
#   state     printer-state-reasons to show, and no page while this exists
#   stop      no more pages at all
#   fail      the engine fails after the pages
#   uncounted pages are not counted
cd "$(dirname "$0")/controls" || exit 1
wait_for() {
    while [ -e "$1" ] && kill -0 $PPID 2>/dev/null; do sleep 0.02; done
}
if [ -e state ]; then
    reasons=$(cat state)
    echo "STATE: +$reasons" >&2
    wait_for state
    echo "STATE: -$reasons" >&2
fi
if [ -e pages ]; then
    pages=$(cat pages)
else
    pages=$(grep -acE '/Type */Page([^s]|$)' "$1")
    [ "$pages" -ge 1 ] || pages=1
    pages=$((pages * ${IPP_COPIES:-1}))
fi
done=0
while [ "$done" -lt "$pages" ]; do
    wait_for "hold-$done"
    [ -e stop ] && break
    kill -0 $PPID 2>/dev/null || exit 1
    [ "$done" = 0 ] && cat "$1"
    [ -e page-time ] && sleep "$(cat page-time)"
    done=$((done + 1))
    [ -e uncounted ] || echo "ATTR: job-impressions-completed=$done" >&2
done
[ -e fail ] && exit 1
exit 0
