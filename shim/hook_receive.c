/* SPDX-License-Identifier: BSD-3-Clause
 * hook_receive.c - whom a datagram is from
 *
 * The kernel receives, with the program's own buffers; only then the source is
 * looked at, and a loopback one that the table knows becomes the tailnet's. So
 * a datagram of the host network costs a compare, and a stream nothing: the
 * kernel gives it no source. A loopback source that the table does not know is
 * a local program, and is told as it is.
 *
 * Where control data has to be put right but the program does not want the
 * source, it is asked for all the same: it says which flow it was. recvmmsg
 * can do this for connected sockets only, since the kernel fills in the
 * program's own array.
 */
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "core/broker/datagram_control.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

enum { MESSAGES_MAX = 1024 };

static bool is_bad(const void *memory, size_t len)
{
	return !shim_can_read(memory, len);
}

/* Can anything have come from the tailnet? */
static bool is_native(void)
{
	return !(shim.is_hosted || atomic_load(&shim.table)) ||
	       shim_is_engine_thread();
}

/* Before it may wait. */
static void look_around(int fd)
{
	int saved_errno = errno;

	shim_listener_meet_datagrams(fd);
	shim_follow_host();
	errno = saved_errno;
}

static socklen_t shorter(socklen_t a, socklen_t b)
{
	return a < b ? a : b;
}

/* -- recvfrom ------------------------------------------------------------- */

static void show_source(struct sockaddr *addr, socklen_t cap, socklen_t *len)
{
	struct ts_flow_entry entry;
	int saved_errno = errno;
	socklen_t have = shorter(cap, *len);

	if (!ts_sockaddr_is_loopback(addr, have))
		return;
	if (shim_way_back(addr, have, &entry) &&
	    shim_write_addr(&entry.tailnet_remote, addr->sa_family, addr,
			    &cap) == 0)
		*len = cap;
	errno = saved_errno;
}

ssize_t hook_recvfrom(int fd, void *buf, size_t len, int flags,
		      struct sockaddr *addr, socklen_t *addr_len)
{
	socklen_t cap;
	ssize_t ret;

	shim_libc_ready();
	if (!addr || is_native() || is_bad(addr_len, sizeof(*addr_len)))
		return libc.recvfrom(fd, buf, len, flags, addr, addr_len);
	look_around(fd);
	cap = *addr_len;
	ret = libc.recvfrom(fd, buf, len, flags, addr, addr_len);
	if (ret >= 0)
		show_source(addr, cap, addr_len);
	return ret;
}

/* Of programs that were built with _FORTIFY_SOURCE. */
ssize_t hook_recvfrom_chk(int fd, void *buf, size_t len, size_t buf_len,
			  int flags, struct sockaddr *addr, socklen_t *addr_len)
{
	socklen_t cap;
	ssize_t ret;

	shim_libc_ready();
	if (!addr || is_native() || is_bad(addr_len, sizeof(*addr_len)))
		return libc.__recvfrom_chk(fd, buf, len, buf_len, flags, addr,
					   addr_len);
	look_around(fd);
	cap = *addr_len;
	ret = libc.__recvfrom_chk(fd, buf, len, buf_len, flags, addr, addr_len);
	if (ret >= 0)
		show_source(addr, cap, addr_len);
	return ret;
}

/* -- recvmsg -------------------------------------------------------------- */

static void show_control(const struct msghdr *msg,
			 const struct ts_flow_entry *entry)
{
	unsigned interface = 0;

	if (ts_control_has_source(msg))
		interface = shim_interface_of(&entry->tailnet_local.ip);
	ts_control_show(msg, entry, interface);
}

/* What the kernel delivered; cap: of the name, before. */
static void show_message(struct msghdr *msg, socklen_t cap)
{
	socklen_t have = shorter(cap, msg->msg_namelen);
	struct ts_flow_entry entry;
	int saved_errno = errno;

	if (!ts_sockaddr_is_loopback(msg->msg_name, have))
		return;
	if (shim_way_back(msg->msg_name, have, &entry)) {
		sa_family_t family =
			((struct sockaddr *)msg->msg_name)->sa_family;

		show_control(msg, &entry);
		if (shim_write_addr(&entry.tailnet_remote, family,
				    msg->msg_name, &cap) == 0)
			msg->msg_namelen = cap;
	}
	errno = saved_errno;
}

/* With a name of our own, that the program did not ask for. */
static ssize_t receive_nameless(int fd, struct msghdr *msg, int flags)
{
	struct sockaddr_storage name;
	struct msghdr copy = *msg;
	ssize_t ret;

	copy.msg_name = &name;
	copy.msg_namelen = sizeof(name);
	ret = libc.recvmsg(fd, &copy, flags);
	if (ret < 0)
		return ret;
	show_message(&copy, sizeof(name));
	if (msg->msg_name) /* without room for any of it */
		msg->msg_namelen = copy.msg_namelen;
	msg->msg_control = copy.msg_control;
	msg->msg_controllen = copy.msg_controllen;
	msg->msg_flags = copy.msg_flags;
	return ret;
}

ssize_t hook_recvmsg(int fd, struct msghdr *msg, int flags)
{
	socklen_t cap;
	ssize_t ret;

	shim_libc_ready();
	if (is_native() || is_bad(msg, sizeof(*msg)) ||
	    (!msg->msg_name && !msg->msg_control))
		return libc.recvmsg(fd, msg, flags);
	look_around(fd);
	if (!msg->msg_name || msg->msg_namelen == 0)
		return receive_nameless(fd, msg, flags);
	cap = msg->msg_namelen;
	ret = libc.recvmsg(fd, msg, flags);
	if (ret >= 0)
		show_message(msg, cap);
	return ret;
}

/* -- recvmmsg ------------------------------------------------------------- */

/* The kernel overwrites the lengths of the names' buffers, and we must not
 * write more than was there; no name needs more than a byte can say. */
static void keep_caps(const struct mmsghdr *msgs, unsigned count, uint8_t *caps)
{
	for (unsigned i = 0; i < count; i++) {
		socklen_t len = msgs[i].msg_hdr.msg_namelen;

		caps[i] = msgs[i].msg_hdr.msg_name
				  ? (uint8_t)shorter(len, UINT8_MAX)
				  : 0;
	}
}

static void show_messages(int fd, struct mmsghdr *msgs, int count,
			  const uint8_t *caps)
{
	struct ts_flow_entry peer;
	int saved_errno = errno;
	bool has_asked = false, is_connected = false;

	for (int i = 0; i < count; i++) {
		struct msghdr *msg = &msgs[i].msg_hdr;

		if (caps[i] > 0)
			show_message(msg, caps[i]);
		if (caps[i] > 0 || !msg->msg_control)
			continue;
		if (!has_asked)
			is_connected =
				shim_native_protocol(fd) == IPPROTO_UDP &&
				shim_way_peer(fd, &peer);
		has_asked = true;
		if (is_connected)
			show_control(msg, &peer);
	}
	errno = saved_errno;
}

int hook_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
		  struct timespec *timeout)
{
	uint8_t caps[MESSAGES_MAX];
	int ret;

	shim_libc_ready();
	if (is_native())
		return libc.recvmmsg(fd, msgs, count, flags, timeout);
	if (count > MESSAGES_MAX)
		count = MESSAGES_MAX;
	if (is_bad(msgs, count * sizeof(*msgs)))
		return libc.recvmmsg(fd, msgs, count, flags, timeout);
	look_around(fd);
	keep_caps(msgs, count, caps);
	ret = libc.recvmmsg(fd, msgs, count, flags, timeout);
	show_messages(fd, msgs, ret, caps);
	return ret;
}
