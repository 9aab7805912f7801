/* SPDX-License-Identifier: BSD-3-Clause
 * hook_datagram.c - sends
 *
 * A datagram to the tailnet goes to the virtual address that stands for its
 * destination (datagram_way.c). What cannot go there - another protocol, no
 * such peer, no host - fails, and never goes by the host network. The rest is
 * the kernel's: it blocks, fails and counts by itself.
 *
 * TCP's MSG_FASTOPEN is connect and send in one call, and becomes just that.
 * A TCP send without it ignores its address, as natively.
 */
#include <netinet/in.h>
#include <string.h>

#include "core/broker/datagram_control.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

/* The kernel's own limits of sendmmsg and sendmsg, and ours of one go. */
enum { MESSAGES_MAX = 1024, IOVECS_MAX = 1024, CHUNK = 8 };

enum verdict {
	AS_IT_IS,
	CONNECTED, /* without address and MSG_FASTOPEN */
	VIRTUAL,   /* to way->virtual */
};

static bool is_bad(const void *memory, size_t len)
{
	return !shim_can_read(memory, len);
}

/* -- to whom -------------------------------------------------------------- */

/* An AF_INET socket takes AF_UNSPEC for AF_INET. */
static bool claims(int fd, const struct sockaddr *addr, socklen_t len,
		   struct ts_addr *out)
{
	struct sockaddr_in in;

	if (len < sizeof(in) || !shim_can_read_addr(fd, addr, len))
		return false;
	if (addr->sa_family != AF_UNSPEC)
		return shim_claims(addr, len, out);
	memcpy(&in, addr, sizeof(in));
	in.sin_family = AF_INET;
	return shim_claims((struct sockaddr *)&in, sizeof(in), out);
}

static bool fits_family(int domain, sa_family_t family)
{
	return domain == AF_INET ? family != AF_INET6 : family != AF_UNSPEC;
}

static int find_way(int fd, const struct sockaddr *addr, uint8_t proto,
		    struct shim_way *way)
{
	char text[TS_ADDR_TEXT_CAP];
	uint8_t echo = shim_echo_protocol(fd);
	int err;

	if (echo) {
		proto = echo;
		way->tailnet.port = 0;
	}
	shim_follow_host();
	err = shim_way_find(fd, proto, way);
	if (err)
		shim_note("send: fd %d to %s: %d", fd,
			  ts_addr_format(&way->tailnet, text), err);
	if (!fits_family(way->domain, addr->sa_family))
		return AS_IT_IS;
	return err ? err : VIRTUAL;
}

/* An ICMP socket that means the tailnet for the first time. */
static int replace_echo(int fd, const struct sockaddr *addr, uint8_t proto,
			struct shim_way *way)
{
	int domain = shim_native_domain(fd);
	int err;

	if (!fits_family(domain, addr->sa_family) ||
	    (domain == AF_INET6) != (proto == IPPROTO_ICMPV6))
		return AS_IT_IS;
	err = shim_echo_replace(fd, domain);
	return err ? err : find_way(fd, addr, proto, way);
}

static int decide_other(int fd, const struct sockaddr *addr, int protocol,
			struct shim_way *way)
{
	int domain = shim_native_domain(fd);

	if (domain != AF_INET && domain != AF_INET6)
		return AS_IT_IS; /* the kernel's own complaint */
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return replace_echo(fd, addr, (uint8_t)protocol, way);
	return -ENETUNREACH;
}

/* An enum verdict, or a negative errno. */
static int decide(int fd, const struct sockaddr *addr, socklen_t len, int flags,
		  struct shim_way *way)
{
	int protocol, err;

	if (!claims(fd, addr, len, &way->tailnet)) {
		err = shim_echo_refusal(fd);
		return err && !shim_is_engine_thread() ? err : AS_IT_IS;
	}
	protocol = shim_native_protocol(fd);
	if (protocol == IPPROTO_UDP)
		return find_way(fd, addr, IPPROTO_UDP, way);
	if (protocol != IPPROTO_TCP ||
	    shim_native_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
		return decide_other(fd, addr, protocol, way);
	if (!(flags & MSG_FASTOPEN))
		return AS_IT_IS;
	err = shim_connect_tailnet(fd, addr, len, &way->tailnet);
	return err ? err : CONNECTED;
}

/* -- how large ------------------------------------------------------------ */

static bool has_size_rules(size_t len)
{
	return len > SHIM_SIZE_FITS &&
	       atomic_load_explicit(&shim.has_size_rules,
				    memory_order_relaxed) &&
	       !shim_is_engine_thread();
}

static size_t message_len(const struct msghdr *msg)
{
	size_t len = 0;

	if ((uint32_t)msg->msg_iovlen > IOVECS_MAX ||
	    is_bad(msg->msg_iov,
		   (uint32_t)msg->msg_iovlen * sizeof(*msg->msg_iov)))
		return 0;
	for (uint32_t i = 0; i < (uint32_t)msg->msg_iovlen; i++)
		len += msg->msg_iov[i].iov_len;
	return len;
}

/* A connected one; what is addressed is known to be the tailnet's. */
static int check_message_size(int fd, const struct msghdr *msg,
			      const struct ts_addr *to)
{
	unsigned segment = ts_control_segment(msg);
	size_t len;

	if (!segment && !has_size_rules(SIZE_MAX))
		return 0;
	len = message_len(msg);
	return to ? shim_size_check(fd, to, len, segment)
		  : shim_size_check_connected(fd, len, segment);
}

/* -- one ------------------------------------------------------------------ */

ssize_t hook_send(int fd, const void *buf, size_t len, int flags)
{
	int saved_errno = errno;
	int err;

	shim_libc_ready();
	if (!has_size_rules(len))
		return libc.send(fd, buf, len, flags);
	err = shim_size_check_connected(fd, len, 0);
	errno = saved_errno;
	return err ? shim_to_libc(err) : libc.send(fd, buf, len, flags);
}

static ssize_t send_connected(int fd, const void *buf, size_t len, int flags,
			      const struct sockaddr *addr, socklen_t addr_len)
{
	int saved_errno = errno;
	int err = 0;

	if (has_size_rules(len))
		err = shim_size_check_connected(fd, len, 0);
	errno = saved_errno;
	return err ? shim_to_libc(err)
		   : libc.sendto(fd, buf, len, flags, addr, addr_len);
}

ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len)
{
	int saved_errno = errno;
	struct shim_way way;
	int ret;

	shim_libc_ready();
	if (!addr)
		return send_connected(fd, buf, len, flags, addr, addr_len);
	ret = decide(fd, addr, addr_len, flags, &way);
	if (ret == VIRTUAL && has_size_rules(len)) {
		int err = shim_size_check(fd, &way.tailnet, len, 0);

		ret = err ? err : ret;
	}
	errno = saved_errno;
	if (ret < 0)
		return shim_to_libc(ret);
	if (ret == AS_IT_IS)
		return libc.sendto(fd, buf, len, flags, addr, addr_len);
	if (ret == CONNECTED)
		return libc.sendto(fd, buf, len, flags & ~MSG_FASTOPEN, NULL,
				   0);
	return libc.sendto(fd, buf, len, flags, (struct sockaddr *)&way.virtual,
			   way.len);
}

/* Not a const one's own control data: other threads may be sending it too. */
static ssize_t send_virtual(int fd, const struct msghdr *msg, int flags,
			    struct shim_way *way)
{
	uint8_t room[TS_CONTROL_CAP];
	struct msghdr copy = *msg;
	int err = check_message_size(fd, msg, &way->tailnet);

	if (!err && ts_control_has_source(msg))
		err = ts_control_rewrite(atomic_load(&shim.table), msg, &copy,
					 room);
	if (err)
		return shim_to_libc(err);
	copy.msg_name = &way->virtual;
	copy.msg_namelen = way->len;
	return libc.sendmsg(fd, &copy, flags);
}

static ssize_t send_message(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr copy;
	struct shim_way way;
	int saved_errno = errno;
	int ret = decide(fd, msg->msg_name, msg->msg_namelen, flags, &way);

	errno = saved_errno;
	if (ret < 0)
		return shim_to_libc(ret);
	if (ret == AS_IT_IS)
		return libc.sendmsg(fd, msg, flags);
	if (ret == VIRTUAL)
		return send_virtual(fd, msg, flags, &way);
	copy = *msg;
	copy.msg_name = NULL;
	copy.msg_namelen = 0;
	return libc.sendmsg(fd, &copy, flags & ~MSG_FASTOPEN);
}

/* Without an address: the control data may be the tailnet's all the same. */
static ssize_t send_control(int fd, const struct msghdr *msg, int flags)
{
	uint8_t room[TS_CONTROL_CAP];
	struct msghdr copy = *msg;
	struct ts_flow_entry entry;
	int saved_errno = errno;
	int err = check_message_size(fd, msg, NULL);

	if (!err && ts_control_has_source(msg) && shim_way_peer(fd, &entry) &&
	    shim_native_protocol(fd) == IPPROTO_UDP)
		err = ts_control_rewrite(atomic_load(&shim.table), msg, &copy,
					 room);
	errno = saved_errno;
	return err ? shim_to_libc(err) : libc.sendmsg(fd, &copy, flags);
}

/* A length of 0 is as good as no name to the kernel. */
static bool has_name(const struct msghdr *msg)
{
	return msg->msg_name && msg->msg_namelen > 0;
}

static bool is_plain(const struct msghdr *msg)
{
	return !has_name(msg) &&
	       ((!msg->msg_control && !has_size_rules(SIZE_MAX)) ||
		!atomic_load(&shim.table) || shim_is_engine_thread());
}

ssize_t hook_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	shim_libc_ready();
	if (is_bad(msg, sizeof(*msg)) || is_plain(msg))
		return libc.sendmsg(fd, msg, flags);
	return has_name(msg) ? send_message(fd, msg, flags)
			     : send_control(fd, msg, flags);
}

/* -- many ----------------------------------------------------------------- */

static bool is_claimed(int fd, const struct msghdr *msg)
{
	struct ts_addr dst;

	return has_name(msg) &&
	       claims(fd, msg->msg_name, msg->msg_namelen, &dst);
}

/* Needs more than another address? */
static bool is_special(const struct msghdr *msg)
{
	return msg->msg_control != NULL || has_size_rules(SIZE_MAX);
}

static int send_special(int fd, struct mmsghdr *msg, int flags)
{
	ssize_t len = hook_sendmsg(fd, &msg->msg_hdr, flags);

	if (len < 0)
		return -1;
	msg->msg_len = (unsigned)len;
	return 1;
}

/* A run to the tailnet, of copies with virtual addresses: how many were sent,
 * *wanted of how many; or a negative errno of the first. */
static int send_chunk(int fd, struct mmsghdr *msgs, unsigned count, int flags,
		      unsigned *wanted)
{
	struct mmsghdr copies[CHUNK];
	struct shim_way ways[CHUNK];
	unsigned n = 0;
	int ret = VIRTUAL;

	for (; n < count && n < CHUNK; n++) {
		const struct msghdr *msg = &msgs[n].msg_hdr;

		if (!is_claimed(fd, msg) || is_special(msg))
			break;
		ret = decide(fd, msg->msg_name, msg->msg_namelen, 0, &ways[n]);
		if (ret != VIRTUAL)
			break;
		copies[n] = msgs[n];
		copies[n].msg_hdr.msg_name = &ways[n].virtual;
		copies[n].msg_hdr.msg_namelen = ways[n].len;
	}
	*wanted = n;
	if (n == 0)
		return ret < 0 ? ret : 0;
	ret = libc.sendmmsg(fd, copies, n, flags);
	for (int i = 0; i < ret; i++)
		msgs[i].msg_len = copies[i].msg_len;
	return ret < 0 ? -errno : ret;
}

static unsigned native_run(int fd, const struct mmsghdr *msgs, unsigned count)
{
	unsigned n = 0;

	while (n < count && !is_claimed(fd, &msgs[n].msg_hdr) &&
	       (is_plain(&msgs[n].msg_hdr) || has_name(&msgs[n].msg_hdr)))
		n++;
	return n;
}

/* The longest run from here that can go in one call. */
static int send_run(int fd, struct mmsghdr *msgs, unsigned count, int flags,
		    unsigned *wanted)
{
	int ret;

	*wanted = native_run(fd, msgs, count);
	if (*wanted > 0) {
		ret = shim_echo_refusal(fd);
		if (ret)
			return ret;
		ret = libc.sendmmsg(fd, msgs, *wanted, flags);
		return ret < 0 ? -errno : ret;
	}
	if (!(flags & MSG_FASTOPEN)) {
		ret = send_chunk(fd, msgs, count, flags, wanted);
		if (*wanted > 0 || ret < 0)
			return ret;
	}
	*wanted = 1;
	return send_special(fd, msgs, flags) < 0 ? -errno : 1;
}

/* How many the kernel would come to; the first one is there. */
static unsigned readable(const struct mmsghdr *msgs, unsigned count)
{
	unsigned n = count > 0;

	if (count > MESSAGES_MAX)
		count = MESSAGES_MAX;
	if (!is_bad(msgs, count * sizeof(*msgs)))
		return count;
	while (n < count && !is_bad(&msgs[n], sizeof(*msgs)))
		n++;
	return n;
}

int hook_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
	int saved_errno = errno;
	unsigned sent = 0, wanted;
	int ret = 0;

	shim_libc_ready();
	if (shim_is_engine_thread() || is_bad(msgs, sizeof(*msgs)))
		return libc.sendmmsg(fd, msgs, count, flags);
	count = readable(msgs, count);
	if (native_run(fd, msgs, count) == count)
		return shim_echo_refusal(fd)
			       ? shim_to_libc(shim_echo_refusal(fd))
			       : libc.sendmmsg(fd, msgs, count, flags);
	while (sent < count) {
		ret = send_run(fd, msgs + sent, count - sent, flags, &wanted);
		if (ret <= 0)
			break;
		sent += (unsigned)ret;
		if ((unsigned)ret < wanted)
			break;
	}
	errno = saved_errno;
	return sent > 0 ? (int)sent : shim_to_libc(ret);
}
