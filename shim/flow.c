/* SPDX-License-Identifier: BSD-3-Clause
 * flow.c - what the address table knows about a socket
 *
 * Only for sockets whose native address is a loopback one; everything here
 * answers "nothing" when there is no table.
 */
#include <netinet/in.h>

#include "core/broker/rendezvous_rule.h"
#include "shim/shim.h"

static bool find_of(uint8_t proto, const struct ts_addr *local,
		    const struct ts_addr *remote, struct ts_flow_entry *out)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_flow_key key = {.proto = proto, .local = *local,
				  .remote = *remote};

	return table && ts_table_find(table, &key, out);
}

static bool find(const struct ts_addr *local, const struct ts_addr *remote,
		 struct ts_flow_entry *out)
{
	return find_of(IPPROTO_TCP, local, remote, out);
}

bool shim_flow_find(const struct ts_addr *local, const struct ts_addr *remote,
		    struct ts_flow_entry *out)
{
	return find(local, remote, out) && out->kind != TS_FLOW_BIND;
}

bool shim_flow_find_bind(uint8_t proto, const struct ts_addr *local,
			 struct ts_flow_entry *out)
{
	const struct ts_addr none = {0};

	return ts_ip_is_loopback(&local->ip) &&
	       find_of(proto, local, &none, out) && out->kind == TS_FLOW_BIND;
}

bool shim_flow_find_datagram(const struct ts_addr *virtual,
			     struct ts_flow_entry *out)
{
	const struct ts_addr none = {0};

	return find_of(IPPROTO_UDP, &none, virtual, out) &&
	       out->kind == TS_FLOW_DATAGRAM;
}

bool shim_flow_find_send(const struct ts_addr *local,
			 const struct ts_addr *tailnet, struct ts_addr *virtual)
{
	struct ts_flow_entry entry;

	if (!find_of(IPPROTO_UDP, local, tailnet, &entry) ||
	    entry.kind != TS_FLOW_SEND)
		return false;
	*virtual = entry.tailnet_remote;
	return true;
}

static bool find_any(const struct ts_addr *local, bool must_have_failed,
		     struct ts_flow_entry *out)
{
	return ts_rendezvous_find(atomic_load(&shim.table), local,
				  must_have_failed, out);
}

bool shim_flow_find_unconnected(const struct ts_addr *local,
				struct ts_flow_entry *out)
{
	return find_any(local, false, out);
}

bool shim_flow_find_failed(const struct ts_addr *local,
			   struct ts_flow_entry *out)
{
	return find_any(local, true, out);
}

int shim_flow_error(int fd, int err)
{
	struct ts_flow_entry entry;
	struct ts_addr local;

	if (err != -ECONNRESET || !atomic_load(&shim.table) ||
	    shim_native_local(fd, &local) ||
	    !shim_flow_find_failed(&local, &entry) || entry.error <= 0)
		return err;
	return -entry.error;
}
