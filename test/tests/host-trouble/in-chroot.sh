#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In a throw-away Debian, for run.sh: what the host's commands do in trouble. Usage: in-chroot.sh KVER

set -eu
# shellcheck source=test/lib.sh
. /tmp/lib.sh
export KVER=$1
repo=/root/kvm-exit-stats
modules=/lib/modules/$KVER
installed=$modules/updates/kvm-exit-stats
cd $repo

# holds NAME WHY: passes when there is no WHY it should not.
holds() { if [ -z "$2" ]; then ok "$1"; else not_ok "$1" "$2"; fi; }

# refuses NAME PATTERN COMMAND...: COMMAND fails and says why in one line, with PATTERN in it.
refuses()
{
	local name=$1 pattern=$2 why=

	shift 2
	if "$@" >/tmp/output 2>&1; then
		why="it succeeds"
	else
		# Progress and warnings come before it, and make adds a line of its own.
		grep -vE '^(make: \*\*\*|== |[a-z-]+\.sh: warning: )' /tmp/output >/tmp/lines || :
		[ "$(wc -l </tmp/lines)" -eq 1 ] && grep -qE "$pattern" /tmp/lines || why="it says: $(paste -s -d '|' /tmp/lines)"
	fi
	holds "refused: $name" "$why"
}

# does NAME COMMAND...: COMMAND succeeds.
does()
{
	local name=$1 why=

	shift
	"$@" >/tmp/output 2>&1 || why=$(paste -s -d "|" /tmp/output)
	holds "$name" "$why"
}

list_modules() { (cd /lib/modules && find . | sort && md5sum ./*/modules.*); }

# is_untouched NAME: the kernel's modules are as in the beginning.
is_untouched() { holds "$1" "$(list_modules | diff /tmp/before - | head -n 1)"; }

# with_depmod SCRIPT COMMAND...: COMMAND, with depmod replaced.
with_depmod()
{
	printf '#!/bin/sh\n%s\n' "$1" >/usr/local/sbin/depmod
	chmod +x /usr/local/sbin/depmod
	shift
	local status=0
	PATH=/usr/local/sbin:$PATH "$@" || status=$?
	rm /usr/local/sbin/depmod
	return $status
}

depmod "$KVER"
list_modules >/tmp/before

refuses "a series that is not there" "no series for Linux 5\.10, only for .*6\.12" make modules KVER=5.10.0-1-amd64
refuses "a kernel's name that is none" "not a kernel release" make modules KVER=../../tmp
refuses "an unknown argument" "unknown argument 'now'" scripts/install-modules.sh now
mv "$modules/build" /tmp/link
refuses "no headers" "apt-get install linux-headers-${KVER//+/\\+}" make modules
mv /tmp/link "$modules/build"
mkdir -p /tmp/tree/arch/x86/kvm
refuses "KSRC without a kernel" "is not a kernel tree" make modules KSRC=/etc
touch /tmp/tree/arch/x86/kvm/Makefile
printf '%s\n' "VERSION = ${KVER%%.*}" "PATCHLEVEL = $(cut -d . -f 2 <<<"$KVER")" "SUBLEVEL = 1" "EXTRAVERSION =" >/tmp/tree/Makefile
refuses "KSRC of another version" "modules need the same version" make modules KSRC=/tmp/tree

mount -t tmpfs -o size=4g tmpfs build
refuses "nothing built yet" "run 'make modules'" make install
cp /var/lib/dpkg/status /tmp/status
sed -i "/^Package: linux-headers-$KVER\$/,/^\$/s/^Version: .*/Version: 1.2.3-4/" /var/lib/dpkg/status
refuses "apt has only other point releases" "of version 1\.2\.3-4, and apt offers .* KSRC=DIR" make modules
sed -i "/^Package: linux-headers-$KVER\$/,/^\$/d" /var/lib/dpkg/status
refuses "a kernel that is not Debian's" "not one of Debian's packages: .* KSRC=DIR" make modules
cp /tmp/status /var/lib/dpkg/status
umount build
mount -t tmpfs -o size=100m tmpfs build
refuses "no room on the disk" "needs about [0-9]+ GB of disk, and 0 GB are free" make modules
holds "no room on the disk: nothing is left there" "$(find build -type f ! -name lock | head -n 1)"
umount build

for target in modules install uninstall status; do
	does "make -n $target" make -n $target
done
is_untouched "make -n changes nothing"
mkdir -p "/tmp/repo/build/$KVER"		# /root is root's
cp -r Makefile scripts patches /tmp/repo/
cp -r "build/$KVER/modules" "/tmp/repo/build/$KVER/"
refuses "install without root" "needs root" setpriv --reuid 65534 --clear-groups make -s --no-print-directory -C /tmp/repo install
refuses "reload of a kernel that does not run" "not the running kernel" make reload
is_untouched "after these nothing is installed"

with_depmod 'kill -TERM $PPID; exec /sbin/depmod "$@"' make install >/tmp/output 2>&1 && status=0 || status=$?
holds "an interrupted install fails" "$([ "$status" -ne 0 ] || cat /tmp/output)"
is_untouched "an interrupted install leaves nothing"
refuses "an install for which depmod fails" "depmod failed" with_depmod 'exit 1' make install
depmod "$KVER"
is_untouched "an install for which depmod fails leaves nothing"
refuses "an install on a full disk" "could not write to /lib/modules: File too large" bash -c 'ulimit -f 1000; trap "" XFSZ; make install'
is_untouched "an install on a full disk leaves nothing"
mkdir -p /etc/depmod.d
echo "search built-in" >/etc/depmod.d/test.conf
refuses "an install that modprobe would not see" "nothing was installed" make install
rm /etc/depmod.d/test.conf
depmod "$KVER"
is_untouched "an install that modprobe would not see leaves nothing"

does "install" make install
does "install again" make install
does "install again: one copy" [ "$(find /lib/modules -name 'kvm*.ko*' -path '*updates*' | wc -l)" -eq 3 ]
mkdir -p /var/lib/dkms
openssl req -new -x509 -newkey rsa:2048 -keyout /var/lib/dkms/mok.key -outform DER -out /var/lib/dkms/mok.pub -nodes \
	-days 2 -subj "/CN=machine owner/" 2>/tmp/output
does "install with a machine-owner key" make install
for module in kvm kvm-intel kvm-amd; do
	does "$module is signed with it" [ "$(modinfo -F signer "$installed/$module.ko")" = "machine owner" ]
done
does "uninstall" make uninstall
is_untouched "uninstall leaves nothing"
does "uninstall again" make uninstall
