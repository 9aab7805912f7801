/* SPDX-License-Identifier: BSD-3-Clause
 * forward_share.c - what one peer may have of what we route, and sockets for it
 *
 * Each connection and each pair of ends of datagrams costs a descriptor. No
 * peer gets more than half of what is there for all, so that none can shut the
 * others out. Who it is says the netmap: a router's networks are the router's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h> /* wants struct timespec */

#include "core/crypto/secret.h"
#include "core/host/forward.h"

enum { FDS_FALLBACK = 1024 };

static size_t fds_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return FDS_FALLBACK;
	return limit.rlim_cur > SIZE_MAX / 2 ? SIZE_MAX / 2 : limit.rlim_cur;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

int ts_forwards_open(struct ts_member *member)
{
	struct ts_forwards *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	member->forwards = f;
	f->member = member;
	ts_key_map_init(&f->shares, sizeof(int64_t), ts_random_u64());
	ts_list_init(&f->dials);
	f->tcp_max = smaller(FORWARD_TCP_MAX, fds_max() / 4);
	f->udp_max = smaller(FORWARD_UDP_MAX, fds_max() / 8);
	return ts_forward_udp_open(member);
}

void ts_forwards_stop(struct ts_member *member)
{
	if (member->forwards)
		ts_forward_tcp_stop(member);
}

void ts_forwards_close(struct ts_member *member)
{
	struct ts_forwards *f = member->forwards;
	struct forward_share *share;
	size_t pos = 0;

	if (!f)
		return;
	ts_forward_udp_close(member);
	ts_forward_echo_close(member);
	while ((share = ts_key_map_next(&f->shares, &pos)))
		free(share);
	ts_key_map_deinit(&f->shares);
	free(f);
	member->forwards = NULL;
}

void ts_forwards_node_changed(struct ts_member *member)
{
	ts_forward_udp_check(member);
}

/* -- shares --------------------------------------------------------------- */

const struct forward_share *
ts_forward_find_share(const struct ts_member *member, const struct ts_ip *ip)
{
	const struct ts_peer *peer = ts_node_whois(member->node, ip);

	return peer ? ts_key_map_get(&member->forwards->shares, &peer->id)
		    : NULL;
}

/* Made when it is not there yet. */
static struct forward_share *share_of(struct ts_member *member,
				      const struct ts_ip *ip)
{
	struct ts_forwards *f = member->forwards;
	const struct ts_peer *peer = ts_node_whois(member->node, ip);
	struct forward_share *share;

	if (!peer)
		return NULL;
	share = ts_key_map_get(&f->shares, &peer->id);
	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->id = peer->id;
	if (ts_key_map_put(&f->shares, &share->id, share)) {
		free(share);
		return NULL;
	}
	return share;
}

static void free_if_unused(struct ts_member *member,
			   struct forward_share *share)
{
	if (share->tcp > 0 || share->udp > 0)
		return;
	ts_key_map_take(&member->forwards->shares, &share->id);
	free(share);
}

static void tell_refused(struct ts_member *member, const char *what,
			 const struct ts_ip *ip)
{
	uint64_t count =
		ts_flood_count(&member->forwards->flood, FORWARD_FLOOD_PER_S,
			       ts_host_now_ms(member->host));
	char text[TS_IP_TEXT_CAP];

	if (count)
		log_warn("forward: too many %s to networks behind this node: "
			 "%llu dropped, the last of %s", what,
			 (unsigned long long)count, ts_ip_format(ip, text));
}

struct forward_share *ts_forward_take_tcp(struct ts_member *member,
					  const struct ts_ip *ip)
{
	struct ts_forwards *f = member->forwards;
	struct forward_share *share = share_of(member, ip);

	if (!share)
		return NULL;
	if (f->tcp_count >= f->tcp_max || share->tcp >= f->tcp_max / 2) {
		tell_refused(member, "connections", ip);
		free_if_unused(member, share);
		return NULL;
	}
	share->tcp++;
	f->tcp_count++;
	return share;
}

void ts_forward_give_tcp(struct ts_member *member, struct forward_share *share)
{
	share->tcp--;
	member->forwards->tcp_count--;
	free_if_unused(member, share);
}

struct forward_share *ts_forward_take_udp(struct ts_member *member,
					  const struct ts_ip *ip)
{
	struct ts_forwards *f = member->forwards;
	struct forward_share *share = share_of(member, ip);

	if (!share)
		return NULL;
	if (f->udp_count >= f->udp_max || share->udp >= f->udp_max / 2) {
		free_if_unused(member, share);
		return NULL;
	}
	share->udp++;
	f->udp_count++;
	return share;
}

void ts_forward_give_udp(struct ts_member *member, struct forward_share *share)
{
	share->udp--;
	member->forwards->udp_count--;
	free_if_unused(member, share);
}

/* -- sockets -------------------------------------------------------------- */

static void set_int(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

int ts_forward_socket(struct ts_member *member, const struct ts_ip *ip,
		      int type, int protocol)
{
	bool v4 = ts_ip_is_v4(ip);
	int fd = socket(v4 ? AF_INET : AF_INET6,
			type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(member->host, fd);
	if (type == SOCK_STREAM) {
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
		/* Finds hosts that are gone, after two hours. */
		set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	} else if (v4) {
		set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	} else {
		set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	}
	return fd;
}

static int errno_of(const struct sock_extended_err *e)
{
	if (e->ee_origin != SO_EE_ORIGIN_ICMP &&
	    e->ee_origin != SO_EE_ORIGIN_ICMP6 &&
	    e->ee_origin != SO_EE_ORIGIN_LOCAL)
		return 0;
	/* The kernel has learnt of a narrow way, and cuts the next one. */
	if (e->ee_errno == EMSGSIZE)
		return 0;
	return -(int)e->ee_errno;
}

ssize_t ts_forward_error(int fd, void *buf, size_t cap, int *err)
{
	union {
		struct cmsghdr align;
		char bytes[512];
	} control;
	struct iovec iov = {buf, cap};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t len = recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

	*err = 0;
	if (len < 0)
		return -EAGAIN;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
	     c = CMSG_NXTHDR(&msg, c)) {
		struct sock_extended_err e;

		if (!(c->cmsg_level == IPPROTO_IP &&
		      c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 &&
		      c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		*err = errno_of(&e);
	}
	return len;
}
