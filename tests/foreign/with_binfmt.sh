#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# with_binfmt.sh COMMAND... - run COMMAND where the kernel starts aarch64 programs
# with qemu-user, also when they start each other. Call it in user, mount and
# network namespaces of their own (unshare -Urmn): Linux 6.7 has a binfmt_misc for
# each user namespace, so that nothing outside changes.
set -eu
where=$(mktemp -d)
trap 'umount "$where" 2>/dev/null; rmdir "$where"' EXIT
mount -t binfmt_misc none "$where" 2>/dev/null || {
	echo 'with_binfmt: no binfmt_misc in user namespaces: Linux 6.7 has it' >&2
	exit 77
}
# ELF, 64 bits, little-endian, any kind of program, machine 183
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64):F" \
	>"$where/register"
ip link set lo up
"$@"
