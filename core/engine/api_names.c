/* SPDX-License-Identifier: BSD-3-Clause
 * api_names.c - what the tailnet calls the two ends of a descriptor
 *
 * The kernel knows loopback addresses; the host's table says whom they stand
 * for.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/base/err.h"
#include "core/engine/api_internal.h"

int api_write_addr(const struct ts_addr *addr, char *out, size_t cap)
{
	char text[TS_ADDR_TEXT_CAP];

	ts_addr_format(addr, text);
	if (strlen(text) >= cap)
		return -ENOBUFS;
	strcpy(out, text);
	return 0;
}

static bool find_names(const struct tsnet *ts, int fd,
		       const struct ts_addr *local, const struct ts_addr *peer,
		       struct ts_flow_entry *out)
{
	const struct ts_addr none = {.port = 0};
	bool is_tcp = api_option(fd, SO_TYPE) == SOCK_STREAM;
	uint8_t proto = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;

	if (peer->port == 0)
		return api_host_find(ts, proto, local, &none, out) &&
		       out->kind == TS_FLOW_BIND;
	if (is_tcp)
		return api_host_find(ts, proto, local, peer, out);
	return api_host_find(ts, proto, &none, peer, out) &&
	       out->kind == TS_FLOW_DATAGRAM;
}

/* What is not in the table is a socket of the host's network. */
int api_names_of(const struct tsnet *ts, int fd, struct ts_addr *local,
		 struct ts_addr *peer)
{
	struct ts_flow_entry entry;
	int err = api_native_local(fd, local);

	if (err)
		return err == -ENOTSOCK ? -EBADF : err;
	err = api_native_peer(fd, peer);
	if (err && err != -ENOTCONN)
		return err;
	if (err)
		*peer = (struct ts_addr){.port = 0};
	if (find_names(ts, fd, local, peer, &entry)) {
		*local = entry.tailnet_local;
		*peer = entry.tailnet_remote;
	}
	return 0;
}

/* Where the kernel's name stands for none, or there is none. */
static bool listener_names(struct tsnet *ts, int fd, struct ts_addr ends[2])
{
	struct api_listener l;

	if (!api_find_listener(ts, fd, &l) || (!l.is_flows && !l.is_fallback))
		return false;
	ends[0] = l.local;
	ends[1] = (struct ts_addr){.port = 0};
	return true;
}

static int tell_name(struct tsnet *ts, int fd, bool is_peer, char *out,
		     size_t cap)
{
	struct ts_addr ends[2];
	int err = api_check(ts, out, "out");

	if (!err)
		err = api_enter(ts);
	if (err)
		return err;
	err = listener_names(ts, fd, ends) ?
		      0 : api_names_of(ts, fd, &ends[0], &ends[1]);
	if (!err && ends[is_peer].port == 0)
		err = -ENOTCONN;
	if (!err)
		err = api_write_addr(&ends[is_peer], out, cap);
	if (err)
		api_fail(ts, err, "%s", ts_strerror(err));
	api_leave(ts);
	return err;
}

int tsnet_local_addr(struct tsnet *ts, int fd, char *out, size_t cap)
{
	return tell_name(ts, fd, false, out, cap);
}

int tsnet_peer_addr(struct tsnet *ts, int fd, char *out, size_t cap)
{
	return tell_name(ts, fd, true, out, cap);
}
