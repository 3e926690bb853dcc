#!/bin/sh
# Records traces/grbl_run.trace and traces/grbl_run.events anew. To be run in this folder, with
#   HEADSTOCK  the program, and
#   DEVICE     a controller that speaks GRBL at a link of this name: the words that start it, with LINK
#              in the place of the link ("serial_link device --flavour grbl --time-scale 4 --port LINK").
# Look at what comes of it before it is kept: the test says which bytes stand for which command.
set -eu
dir=$(mktemp -d)
trap 'kill $device $daemon 2>/dev/null; rm -rf "$dir"' EXIT
$(echo "$DEVICE" | sed "s,LINK,$dir/mill,") >"$dir/device.log" 2>&1 & device=$!
cat >"$dir/headstock.toml" <<END
[daemon]
state_dir = "$dir/state"
socket = "$dir/socket"
[web]
listen = "127.0.0.1:0"
[[machine]]
id = "mill"
driver = "grbl"
port = "$dir/mill"
spinup_s = 0.2
END
sleep 1
HEADSTOCK_LOG=warn "$HEADSTOCK" daemon --config "$dir/headstock.toml" --trace "$dir/traces" & daemon=$!
export HEADSTOCK_SOCKET="$dir/socket"
is() { until "$HEADSTOCK" machines mill --json | grep -q "\"state\":\"$1\""; do sleep 0.05; done; }
sleep 1; is idle; sleep 1
file=$("$HEADSTOCK" upload grbl_run.nc --json | sed 's/.*"id":"\([^"]*\)".*/\1/')
"$HEADSTOCK" job start mill "$file"
is running; sleep 0.5
"$HEADSTOCK" hold mill; is held; sleep 0.3
"$HEADSTOCK" resume mill; is running; is idle; sleep 0.3
"$HEADSTOCK" run mill "G1 X0 F0" || true            # no feed: an error, and nothing moves
sleep 0.3
"$HEADSTOCK" jog mill X-40 F300; is jogging; sleep 0.3
"$HEADSTOCK" abort mill || true                     # a reset in motion is an alarm
is alarm; sleep 0.3
"$HEADSTOCK" unlock mill; is idle; sleep 0.3
"$HEADSTOCK" events --after 0 --json >"$dir/events"
kill $daemon; wait $daemon || true
{
    echo "# A program of $(grep -c . grbl_run.nc) lines, held and resumed; a line that is refused; a jog that is broken off by a reset,"
    echo "# the alarm of that, and its end. Recorded $(date +%F) by record_grbl.sh, with at the far end:"
    echo "# $(echo "$DEVICE" | sed 's,.*/,,')"
    grep -v '^#' "$dir"/traces/mill-*.trace
} >grbl_run.trace
# What the driver said, in its order, as it stands in the book.
grep '"fact":"machine"' "$dir/events" | sed 's/.*"said":\(.*\)}$/\1/' >grbl_run.events
