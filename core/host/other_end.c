/* SPDX-License-Identifier: BSD-3-Clause
 * other_end.c - does a loopback connection of ours have a far end at all?
 *
 * A listener's full queue can lose a connection that its maker believes in:
 * under many SYNs at once the kernel answers with SYN cookies and remembers
 * nothing, and when the last ACK of the handshake then finds the accept queue
 * full, it is dropped. The first bytes of a client that speaks first would
 * bring it back; we say nothing before the program has accepted. So the kernel
 * is asked for the socket at the other end, exactly (sock_diag(7), needs no
 * privilege): when only the listener answers to the tuple, it is lost.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/host/host_internal.h"

int ts_other_end_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

static void put_addr(const struct ts_addr *addr, __be32 ip[4], __be16 *port)
{
	if (ts_ip_is_v4(&addr->ip))
		ip[0] = htonl(ts_ip_v4_host(&addr->ip));
	else
		memcpy(ip, addr->ip.bytes, sizeof(addr->ip.bytes));
	*port = htons(addr->port);
}

static int ask(int fd, const struct ts_flow_key *key)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} msg = {.head = {.nlmsg_len = sizeof(msg),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST},
		 .body = {.sdiag_family = (uint8_t)ts_addr_family(&key->local),
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = ~0u,
			  .id.idiag_cookie = {INET_DIAG_NOCOOKIE,
					      INET_DIAG_NOCOOKIE}}};

	put_addr(&key->local, msg.body.id.idiag_src, &msg.body.id.idiag_sport);
	put_addr(&key->remote, msg.body.id.idiag_dst, &msg.body.id.idiag_dport);
	return send(fd, &msg, sizeof(msg), 0) < 0 ? -errno : 0;
}

/* The kernel has answered before the question's send() returned. */
static int read_answer(int fd)
{
	union {
		struct nlmsghdr head;
		uint8_t bytes[1024];
	} msg;
	ssize_t len = recv(fd, &msg, sizeof(msg), 0);

	if (len < 0)
		return -errno;
	if (!NLMSG_OK(&msg.head, (size_t)len))
		return -EBADMSG;
	if (msg.head.nlmsg_type == NLMSG_ERROR &&
	    msg.head.nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return ((struct nlmsgerr *)NLMSG_DATA(&msg.head))->error;
	if (msg.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    msg.head.nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return -EBADMSG;
	return ((struct inet_diag_msg *)NLMSG_DATA(&msg.head))->idiag_state;
}

bool ts_other_end_is_lost(int fd, const struct ts_flow_key *key)
{
	int state = ask(fd, key);

	if (!state)
		state = read_answer(fd);
	return state == TCP_LISTEN || state == -ENOENT;
}
