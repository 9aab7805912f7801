/* SPDX-License-Identifier: BSD-3-Clause
 * host_call.c - connections that the host makes for somebody without a shim
 *
 * As the proxy makes them for its clients, and relayed as theirs are.
 */
#include "core/host/host_call.h"

#include "core/host/proxy_internal.h"

int ts_host_call(struct ts_member *member, const struct ts_addr *to)
{
	return ts_proxy_call(member, to);
}

int ts_host_prepare_call(struct ts_member *member, const struct ts_addr *to,
			 struct ts_addr *via)
{
	return ts_proxy_prepare_call(member, to, via);
}

int ts_host_call_result(const struct ts_host *host, int fd)
{
	return ts_proxy_call_result(host, fd);
}

void ts_host_hang_up(int fd)
{
	ts_sock_close(fd);
}

void ts_host_join(struct ts_host *host, int a, int b)
{
	struct ts_relay_end ends[2] = {{.fd = a}, {.fd = b}};

	ts_relay_start(host, NULL, ends);
}
