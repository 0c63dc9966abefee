#!/bin/bash
# The first process of user-mode Linux (test/support/uml.ts). The machine's files are its root, read-only; what is written
# goes to memory. TREE and COMMAND come from the kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
# The tree may lie below /tmp, so it gets a place of its own first.
mkdir -p /run/tree /run/netns /run/uml/lib /dev/shm
mount -t hostfs -o "$TREE" none /run/tree
mount -o remount,ro /run/tree
mount -t tmpfs tmpfs /tmp
# The kernel asks this program for modules, such as those of schedulers.
ln -s /usr/lib/uml/modules /run/uml/lib/modules
printf '#!/bin/sh\nexec modprobe --dirname /run/uml "$@"\n' > /run/uml/modprobe
chmod +x /run/uml/modprobe
echo /run/uml/modprobe > /proc/sys/kernel/modprobe
# Asked for by nobody, and their settings must be there before the first namespace.
/run/uml/modprobe --all ipv6 br_netfilter
cd /run/tree || exit 1
echo "uml: begin"
# A pipe, for a terminal would get colours.
eval "$COMMAND" 2>&1 | cat
echo "uml: end ${PIPESTATUS[0]}"
# Whoever started us ends us. The first process must not end before.
while :; do sleep 3600; done
