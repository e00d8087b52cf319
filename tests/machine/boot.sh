# Starts systemd as process 1 of the namespaces that unshare(1) just made, over a copy of the files in BASE.
# Usage: boot.sh FOLDER CHECKOUT PACKAGES BASE PYTHON. FOLDER may be thrown away afterwards: what was changed lies in it.
set -eu
folder=$1 checkout=$2 packages=$3 base=$4 python=$5

mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$folder"
root=$folder/root
mkdir "$root"
copy() { # FROM TO NAME: what is written to the copy goes to a folder of its own
    mkdir -p "$folder/changed/$3" "$folder/work/$3" "$2"
    mount -t overlay -o "lowerdir=$1,upperdir=$folder/changed/$3,workdir=$folder/work/$3" "$3" "$2"
}
copy "$base" "$root" machine
rm -rf "$root/opt" "$root/srv"
mkdir "$root/opt" "$root/srv"
copy "$checkout" "$root/opt/checkout" checkout
copy "$packages" "$root/opt/packages" packages

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 cgroup "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
for place in dev run tmp; do
    mount -t tmpfs -o mode=755 "$place" "$root/$place"
done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# A new machine: nothing is installed, and of systemd's own units none but those that others need.
rm -rf "$root/etc/systemd/system" "$root/etc/gateway" "$root/var/lib/gateway" "$root/var/backups/gateway"
mkdir -p "$root/etc/systemd/system" "$root/usr/local/lib/python"
for wanted in "$root"/lib/systemd/system/*.target.wants; do
    mount -t tmpfs none "$wanted"
done
: >"$root/etc/machine-id"
if [ -n "$python" ]; then
    # Python for every user: as a developer's it may lie in a closed home.
    mount --bind "$python" "$root/usr/local/lib/python"
    echo /usr/local/lib/python/lib >"$root/etc/ld.so.conf.d/000-python.conf"
    chroot "$root" /sbin/ldconfig
fi

ip link set lo up
cd "$root"
mkdir -p before
pivot_root . before
umount -l /before
# systemd hands secrets over by a mount that it makes elsewhere.
mount --make-rshared /
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /lib/systemd/systemd --system --unit=basic.target --log-target=console --log-level=info --show-status=no
