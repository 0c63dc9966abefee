# The first process of a test machine: its own mount, network and process namespaces, as seen from inside.
# Reads one line of standard input that never comes: when the test process ends, however it ends, the pipe closes, this
# process ends, and the kernel takes every process, mount, link and rule of the machine with it.
set -e

# What runtimes and plugins write to /etc, /opt, /var/lib and /var/log goes to memory, on top of the real files.
mount -t tmpfs -o mode=755 machine /run
mkdir -p /run/netns /run/lock /run/tmp /run/test
for directory in /etc /opt /var/lib /var/log; do
  mkdir -p "/run/layers$directory/upper" "/run/layers$directory/work"
  mount -t overlay -o "lowerdir=$directory,upperdir=/run/layers$directory/upper,workdir=/run/layers$directory/work" \
    overlay "$directory"
done

# Packages bring networks of their own, and containerd takes the first one that it finds.
rm -rf /etc/cni/net.d
mkdir -p /etc/cni/net.d

# The plugins of the directory named by the first argument, under the names that they have there.
mkdir -p /opt/cni/bin
for plugin in "$1"/*; do
  [ -f "$plugin" ] || continue
  : >"/opt/cni/bin/${plugin##*/}"
  mount --bind "$(realpath "$plugin")" "/opt/cni/bin/${plugin##*/}"
done

# A node with one uplink; at its other end the rest of the world, which has no route to any container.
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
ip netns add internet
ip link add up0 type veth peer name wan0 netns internet
ip address add 198.51.100.1/24 dev up0
ip address add 2001:db8:51::1/64 dev up0 nodad
ip link set up0 up
ip route add default via 198.51.100.2
ip -n internet link set lo up
ip -n internet address add 198.51.100.2/24 dev wan0
ip -n internet address add 2001:db8:51::2/64 dev wan0 nodad
ip -n internet link set wan0 up

echo ready
read -r _ || true
