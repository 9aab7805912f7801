/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_call.c - a connection to where a proxy's client wants to go
 *
 * The LocalAPI is a socket of this process's own.
 *
 * To the tailnet the proxy is a program like any other: a loopback socket that
 * calls R. So its own addresses, services and refusals need no second way.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/broker/rendezvous_rule.h"
#include "core/host/notify.h"
#include "core/host/proxy_internal.h"

/* R is told whom fd means when it calls *via. 0 or -errno. */
static int announce(struct ts_member *member, int fd, const struct ts_addr *to,
		    struct ts_addr *via)
{
	struct ts_host *host = member->host;
	struct ts_addr local = {.ip = ts_sock_random_loopback(host)};
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.flags = TS_BROKER_NONBLOCK,
					.tailnet = *to};
	struct ts_broker_reply rep = {.type = req.type};
	unsigned n = 0;
	int err = ts_sock_bind(fd, &local);

	if (!err)
		err = ts_sock_local(fd, &req.native_local);
	if (err)
		return err;
	if (!ts_rendezvous_choose(ts_table_layout(host->table), &host->info,
				  &req.native_local, &n, &req.native_remote))
		return -ENETUNREACH;
	/* No pid: we are not to be looked for when the wait is long. */
	ts_conn_request(host, &req, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, &rep);
	*via = req.native_remote;
	return -rep.error;
}

int ts_proxy_prepare_call(struct ts_member *member, const struct ts_addr *to,
			  struct ts_addr *via)
{
	struct ts_host *host = member->host;
	const struct ts_ip v4 = ts_sock_loopback(false);
	int fd, err;

	*via = *to;
	if (!ts_notify_claims(host, to))
		return ts_sock_open(host, &to->ip);
	ts_rendezvous_follow_uid(host);
	fd = ts_sock_open(host, &v4);
	err = fd < 0 ? 0 : announce(member, fd, to, via);
	if (err) {
		ts_sock_close(fd);
		return err;
	}
	return fd;
}

int ts_proxy_call(struct ts_member *member, const struct ts_addr *to)
{
	struct ts_addr via;
	int fd = ts_proxy_prepare_call(member, to, &via);
	int err = fd < 0 ? 0 : ts_sock_connect(fd, &via);

	if (err < 0) {
		ts_sock_close(fd);
		return err;
	}
	return fd;
}

int ts_proxy_call_localapi(const struct ts_proxy *proxy)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int err;

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(proxy->host, fd);
	memcpy(sun.sun_path, proxy->localapi, sizeof(sun.sun_path));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	err = -errno; /* EAGAIN: too many wait there */
	ts_sock_close(fd);
	return err;
}

int ts_proxy_call_result(const struct ts_host *host, int fd)
{
	return ts_notify_flow_error(host, fd, ts_sock_error(fd));
}
