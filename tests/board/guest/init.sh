#!/bin/sh
# The first process on the emulated board: loads the camera's driver, runs the test, and switches the board off.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
# The console is the test's.
dmesg -n 1
cd /test
while read -r module options; do insmod "/modules/$module" $options; done </modules/list
sh ./test.sh
echo "BOARD STATUS $?"
poweroff -f
