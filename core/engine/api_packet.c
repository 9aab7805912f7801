/* SPDX-License-Identifier: BSD-3-Clause
 * api_packet.c - datagrams of a socket that is bound in the tailnet
 *
 * The socket is the caller's and bound on loopback. Each remote end has a
 * loopback address of the host that stands for it (core/host/app_datagram.h);
 * the table has both directions, so that only the first datagram to somebody
 * costs a question.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/api_internal.h"

enum { HOST_CAP = 64 };

/* -- binding -------------------------------------------------------------- */

static int parse_own(const char *address, int family, struct ts_addr *out)
{
	char host[HOST_CAP];

	if (api_split_address(address, "udp", host, sizeof(host), &out->port) ||
	    ts_ip_parse(host, &out->ip))
		return -EINVAL;
	if ((family == 4 && !ts_ip_is_v4(&out->ip)) ||
	    (family == 6 && ts_ip_is_v4(&out->ip)))
		return -EINVAL;
	return 0;
}

static int listen_packet(struct tsnet *ts, const char *network,
			 const char *address)
{
	struct ts_addr asked;
	int family, fd;

	if (api_parse_network(network, &family) != IPPROTO_UDP)
		return api_fail(ts, -EPROTONOSUPPORT,
				"unsupported network type \"%.20s\"", network);
	if (parse_own(address, family, &asked))
		return api_fail(ts, -EINVAL, "%.80s: address must be a valid "
				"IP of %s, and a port", address, network);
	fd = api_bind_tailnet(ts, IPPROTO_UDP, family, &asked);
	return fd < 0 ? api_fail(ts, fd, "listen %s %.60s: %s", network,
				 address, ts_strerror(fd))
		      : fd;
}

int tsnet_listen_packet(struct tsnet *ts, const char *network,
			const char *address)
{
	int fd = api_check(ts, network && address, "network and address");

	if (!fd)
		fd = api_enter(ts);
	if (fd)
		return fd;
	fd = listen_packet(ts, network, address);
	api_leave(ts);
	return fd;
}

/* -- the way there -------------------------------------------------------- */

static int check_socket(int fd)
{
	return api_option(fd, SO_TYPE) == SOCK_DGRAM ? 0 : -EBADF;
}

static int find_way(struct tsnet *ts, int fd, const struct ts_addr *to,
		    struct ts_addr *virtual)
{
	struct ts_broker_request req = {.type = TS_BROKER_SEND,
					.proto = IPPROTO_UDP,
					.tailnet = *to};
	struct ts_broker_reply rep;
	struct ts_flow_entry entry;
	int err = api_native_local(fd, &req.native_local);

	if (err)
		return err;
	if (api_host_find(ts, IPPROTO_UDP, &req.native_local, to, &entry) &&
	    entry.kind == TS_FLOW_SEND) {
		*virtual = entry.tailnet_remote;
		return 0;
	}
	if (!ts_ip_is_v4(&req.native_local.ip))
		req.flags |= TS_BROKER_V6_ONLY;
	err = api_host_ask(ts, &req, fd, &rep);
	if (!err && !ts_ip_is_loopback(&rep.native.ip))
		err = -ENETUNREACH;
	*virtual = rep.native;
	return err;
}

static ssize_t send_to(struct tsnet *ts, int fd, const void *data, size_t len,
		       const char *to)
{
	struct sockaddr_storage sa;
	struct ts_addr addr, virtual;
	int sa_len = ts_addr_parse(to, &addr) ? -EINVAL : 0;
	ssize_t n;

	if (!sa_len)
		sa_len = find_way(ts, fd, &addr, &virtual);
	if (!sa_len)
		sa_len = ts_addr_to_sockaddr(&virtual,
					     ts_addr_family(&virtual), &sa);
	if (sa_len < 0)
		return sa_len;
	n = sendto(fd, data, len, MSG_NOSIGNAL, (struct sockaddr *)&sa,
		   (socklen_t)sa_len);
	return n < 0 ? -errno : n;
}

ssize_t tsnet_sendto(struct tsnet *ts, int fd, const void *data, size_t len,
		     const char *to)
{
	ssize_t n = api_check(ts, to && (data || !len), "data and to");

	if (!n)
		n = api_enter(ts);
	if (n)
		return n;
	n = check_socket(fd);
	if (!n)
		n = send_to(ts, fd, data, len, to);
	if (n < 0)
		api_fail(ts, (int)n, "send to %.60s: %s", to,
			 ts_strerror((int)n));
	api_leave(ts);
	return n;
}

/* -- and back ------------------------------------------------------------- */

/* false: not from the tailnet. */
static bool tell_sender(const struct tsnet *ts, const struct ts_addr *virtual,
			char out[static TS_ADDR_TEXT_CAP])
{
	const struct ts_addr none = {.port = 0};
	struct ts_flow_entry entry;

	if (!api_host_find(ts, IPPROTO_UDP, &none, virtual, &entry) ||
	    entry.kind != TS_FLOW_DATAGRAM)
		return false;
	ts_addr_format(&entry.tailnet_remote, out);
	return true;
}

/* Length, or -errno. */
static ssize_t receive(struct tsnet *ts, int fd, void *data, size_t cap,
		       struct ts_addr *virtual)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	ssize_t n;
	int err;

	do { /* another thread may be faster */
		err = api_wait_readable(ts, fd);
		if (err)
			return err;
		n = recvfrom(fd, data, cap, MSG_DONTWAIT,
			     (struct sockaddr *)&sa, &len);
	} while (n < 0 && (errno == EINTR ||
			   (errno == EAGAIN && !api_is_nonblocking(fd))));
	if (n < 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&sa, len, virtual)
		       ? -EBADMSG
		       : n;
}

static ssize_t receive_from(struct tsnet *ts, int fd, void *data, size_t cap,
			    char text[static TS_ADDR_TEXT_CAP])
{
	struct ts_addr virtual;
	ssize_t n;

	do {
		n = receive(ts, fd, data, cap, &virtual);
	} while (n >= 0 && !tell_sender(ts, &virtual, text));
	return n;
}

ssize_t tsnet_recvfrom(struct tsnet *ts, int fd, void *data, size_t cap,
		       char *from, size_t from_cap)
{
	char text[TS_ADDR_TEXT_CAP];
	ssize_t n = api_check(ts, data || !cap, "data");

	if (!n)
		n = api_enter(ts);
	if (n)
		return n;
	n = check_socket(fd);
	if (!n)
		n = receive_from(ts, fd, data, cap, text);
	if (n >= 0 && from && strlen(text) >= from_cap)
		n = -ENOBUFS;
	if (n >= 0 && from)
		strcpy(from, text);
	if (n < 0)
		api_fail(ts, (int)n, "receive: %s", ts_strerror((int)n));
	api_leave(ts);
	return n;
}
