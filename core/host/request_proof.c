/* SPDX-License-Identifier: BSD-3-Clause
 * request_proof.c - what a program says of its socket, by the socket's word
 *
 * Everybody who may ask may read in the table which addresses others have. So
 * a request that speaks of a socket brings it, and the kernel is asked for its
 * name; what the program wrote counts only where the kernel leaves a choice.
 * Else a program could take another one's port or peer for its own, or change
 * the options of a connection that it does not have.
 *
 * A socket of another network namespace can have any name there; ours would be
 * somebody else's. (Before Linux 5.14 that cannot be known.)
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/host/host_internal.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static bool net_of(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len) == 0;
}

static bool is_here(const struct ts_host *host, int fd)
{
	uint64_t theirs;

	return !host->has_net || !net_of(fd, &theirs) || theirs == host->net;
}

void ts_request_proof_open(struct ts_host *host)
{
	host->has_net = net_of(host->rv.fd4, &host->net);
}

static int int_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -1 : value;
}

static bool is_v6(int fd)
{
	return int_option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
}

/* Where a wildcard connects from is to be seen; by ::1, if it says so. */
static void name_caller(int fd, const struct ts_addr *said,
			struct ts_addr *name)
{
	const struct ts_ip six = ts_sock_loopback(true);

	if (ts_ip_is_unspecified(&name->ip) && is_v6(fd) &&
	    ts_ip_equal(&said->ip, &six))
		name->ip = six;
}

static int take_name(const struct ts_host *host, struct ts_broker_request *req,
		     int fd)
{
	struct ts_addr name;

	if (ts_sock_local(fd, &name))
		return -EINVAL;
	if (!is_here(host, fd))
		return -ENETUNREACH;
	if (req->type == TS_BROKER_CONNECT && req->proto == IPPROTO_TCP)
		name_caller(fd, &req->native_local, &name);
	if ((req->flags & TS_BROKER_V6_ONLY) && !is_v6(fd))
		req->flags &= (uint8_t)~TS_BROKER_V6_ONLY;
	req->native_local = name;
	return 0;
}

int ts_request_prove(const struct ts_host *host, struct ts_broker_request *req,
		     int fd)
{
	/* A datagram socket without a name, or one that is about to
	 * disconnect, claims nothing. */
	bool claims = req->proto == IPPROTO_TCP || req->native_local.port != 0;

	switch (req->type) {
	case TS_BROKER_BOUND:
		/* Who starts the next host speaks for others
		 * (shim/listener.c). */
		if (fd < 0 && host->in_process)
			return 0;
		/* fallthrough */
	case TS_BROKER_CONNECT:
	case TS_BROKER_SEND:
		if (!claims)
			return 0;
		/* Most likely it did not fit into our fd table. */
		return fd < 0 ? -ENOBUFS : take_name(host, req, fd);
	default:
		return 0;
	}
}

bool ts_request_is_of(const struct ts_host *host,
		      const struct ts_flow_key *key, int fd)
{
	struct ts_addr local, remote;

	return ts_sock_local(fd, &local) == 0 &&
	       ts_sock_peer(fd, &remote) == 0 &&
	       ts_addr_equal(&local, &key->local) &&
	       ts_addr_equal(&remote, &key->remote) && is_here(host, fd);
}
