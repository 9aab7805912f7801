/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_size.c - datagrams that the loopback hop takes and the tunnel not
 *
 * lo carries 64 KB in one piece, the tunnel 1280 bytes; in between the host
 * fragments, as the kernel would. But a program may have asked not to
 * (IP_MTU_DISCOVER, IPV6_DONTFRAG), or asked for segments (UDP_SEGMENT), and
 * then has to hear EMSGSIZE or EINVAL from us. Only a process that ever set
 * one of these options pays for it, and only for large datagrams.
 */
#include <netinet/in.h>
#include <netinet/udp.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef IPV6_DONTFRAG
#define IPV6_DONTFRAG 62
#endif
#ifndef IP_PMTUDISC_PROBE
#define IP_PMTUDISC_PROBE 3
#endif

enum { V4_HEADERS = 28, V6_HEADERS = 48 };

void shim_size_rule_was_set(int level, int name)
{
	if ((level == IPPROTO_IP && name == IP_MTU_DISCOVER) ||
	    (level == IPPROTO_IPV6 &&
	     (name == IPV6_MTU_DISCOVER || name == IPV6_DONTFRAG)) ||
	    (level == IPPROTO_UDP && name == UDP_SEGMENT))
		atomic_store_explicit(&shim.has_size_rules, true,
				      memory_order_relaxed);
}

static unsigned tunnel_mtu(void)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);

	return table ? ts_table_mtu(table) : 0;
}

static bool forbids_fragments(int level, int fd)
{
	int rule = shim_native_option(fd, level,
				      level == IPPROTO_IP ? IP_MTU_DISCOVER
							  : IPV6_MTU_DISCOVER);

	return rule == IP_PMTUDISC_DO || rule == IP_PMTUDISC_PROBE ||
	       (level == IPPROTO_IPV6 &&
		shim_native_option(fd, level, IPV6_DONTFRAG) > 0);
}

int shim_size_check(int fd, const struct ts_addr *to, size_t len,
		    unsigned segment)
{
	bool is_v4 = ts_ip_is_v4(&to->ip);
	unsigned headers = is_v4 ? V4_HEADERS : V6_HEADERS;
	unsigned mtu = tunnel_mtu();
	int option;

	if (mtu <= headers || len <= mtu - headers)
		return 0;
	if (segment == 0) {
		option = shim_native_option(fd, IPPROTO_UDP, UDP_SEGMENT);
		segment = option > 0 ? (unsigned)option : 0;
	}
	if (segment)
		return segment > mtu - headers ? -EINVAL : 0;
	return forbids_fragments(is_v4 ? IPPROTO_IP : IPPROTO_IPV6, fd)
		       ? -EMSGSIZE
		       : 0;
}

int shim_size_check_connected(int fd, size_t len, unsigned segment)
{
	struct ts_flow_entry entry;

	if (shim_native_protocol(fd) != IPPROTO_UDP ||
	    !shim_way_peer(fd, &entry))
		return 0;
	return shim_size_check(fd, &entry.tailnet_remote, len, segment);
}

int shim_size_mtu(int fd, int native)
{
	struct ts_flow_entry entry;
	int mtu;

	if (shim_native_protocol(fd) != IPPROTO_UDP ||
	    !shim_way_peer(fd, &entry))
		return native;
	mtu = (int)tunnel_mtu();
	return mtu > 0 && mtu < native ? mtu : native;
}
