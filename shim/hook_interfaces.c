/* SPDX-License-Identifier: BSD-3-Clause
 * hook_interfaces.c - lists of network interfaces, with the tailnets' at the
 * end
 *
 * What libc lists stays as it is, and comes first. Ours is added to it: as a
 * TUN device has it, a link of no hardware type, point to point, and one entry
 * an address with the whole address as its prefix. The link's counters are 0:
 * they are not known here.
 *
 * A list of getifaddrs() has one owner for each entry of ours, recognised by
 * where its parts lie, and is cut there before libc frees the rest. Each is a
 * block of its own because musl frees them one by one; there even a list that
 * never comes back to us is freed right.
 */
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef ARPHRD_NONE
#define ARPHRD_NONE 0xfffe
#endif

enum {
	FLAG_LOWER_UP = 1 << 16,
	LINK_FLAGS = IFF_UP | IFF_POINTOPOINT | IFF_RUNNING | IFF_NOARP |
		     IFF_MULTICAST | FLAG_LOWER_UP,
	LINK_STATS_COUNT = 24, /* of struct rtnl_link_stats */
};

static const char MARK[16] = "tsnet-shim entry";

union any_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_ll ll;
};

struct own_entry {
	struct ifaddrs ifa; /* first: what programs have */
	char name[IFNAMSIZ];
	char mark[sizeof(MARK)];
	union any_addr addr, mask;
	uint32_t stats[LINK_STATS_COUNT];
};

/* -- getifaddrs ----------------------------------------------------------- */

static bool is_own(const struct ifaddrs *ifa)
{
	const struct own_entry *e = (const struct own_entry *)ifa;

	return ifa->ifa_name == e->name && ifa->ifa_addr == &e->addr.sa &&
	       memcmp(e->mark, MARK, sizeof(MARK)) == 0;
}

static struct own_entry *add(struct own_entry *before,
			     const struct shim_interface *it)
{
	struct own_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	memcpy(e->name, it->its.name, sizeof(e->name));
	memcpy(e->mark, MARK, sizeof(MARK));
	e->ifa.ifa_next = before ? &before->ifa : NULL;
	e->ifa.ifa_name = e->name;
	e->ifa.ifa_flags = LINK_FLAGS;
	e->ifa.ifa_addr = &e->addr.sa;
	return e;
}

static void free_own(struct ifaddrs *ifa)
{
	while (ifa) {
		struct ifaddrs *next = ifa->ifa_next;

		free(ifa);
		ifa = next;
	}
}

static struct own_entry *add_link(struct own_entry *before,
				  const struct shim_interface *it)
{
	struct own_entry *e = add(before, it);

	if (!e)
		return NULL;
	e->addr.ll.sll_family = AF_PACKET;
	e->addr.ll.sll_ifindex = (int)it->index;
	e->addr.ll.sll_hatype = ARPHRD_NONE;
	e->ifa.ifa_data = e->stats;
	return e;
}

static struct own_entry *add_address(struct own_entry *before,
				     const struct shim_interface *it, bool v6)
{
	const struct ts_addr addr = {.ip = v6 ? it->its.v6 : it->its.v4};
	struct sockaddr_storage ss;
	struct own_entry *e = add(before, it);

	if (!e)
		return NULL;
	ts_addr_to_sockaddr(&addr, v6 ? AF_INET6 : AF_INET, &ss);
	memcpy(&e->addr, &ss, sizeof(e->addr));
	e->mask.sa.sa_family = e->addr.sa.sa_family;
	if (v6)
		memset(&e->mask.in6.sin6_addr, 0xff,
		       sizeof(e->mask.in6.sin6_addr));
	else
		memset(&e->mask.in.sin_addr, 0xff,
		       sizeof(e->mask.in.sin_addr));
	e->ifa.ifa_netmask = &e->mask.sa;
	/* The other end of a TUN device's IPv4 address is itself. */
	e->ifa.ifa_dstaddr = v6 ? NULL : &e->addr.sa;
	return e;
}

/* Back to front; all or nothing. */
static int make_entries(const struct shim_interface *it, struct ifaddrs **out)
{
	struct own_entry *first = NULL, *e;

	for (int v6 = 1; v6 >= 0; v6--) {
		if (ts_ip_is_zero(v6 ? &it->its.v6 : &it->its.v4))
			continue;
		e = add_address(first, it, v6);
		if (!e)
			goto fail;
		first = e;
	}
	e = add_link(first, it);
	if (!e)
		goto fail;
	*out = &e->ifa;
	return 0;
fail:
	free_own(first ? &first->ifa : NULL);
	return -ENOMEM;
}

static int append(struct ifaddrs **list, const struct shim_interface *it)
{
	int err;

	while (*list)
		list = &(*list)->ifa_next;
	err = make_entries(it, list);
	if (err)
		*list = NULL;
	return err;
}

int hook_getifaddrs(struct ifaddrs **out)
{
	int saved_errno = errno;
	struct shim_interface it;

	shim_libc_ready();
	if (libc.getifaddrs(out) != 0)
		return -1;
	for (unsigned i = 0; shim_interface_get(i, &it); i++) {
		if (append(out, &it) == 0)
			continue;
		hook_freeifaddrs(*out);
		return shim_to_libc(-ENOMEM);
	}
	errno = saved_errno;
	return 0;
}

void hook_freeifaddrs(struct ifaddrs *list)
{
	struct ifaddrs **at = &list;

	shim_libc_ready();
	while (*at && !is_own(*at))
		at = &(*at)->ifa_next;
	free_own(*at);
	*at = NULL;
	if (list)
		libc.freeifaddrs(list);
}

/* -- names and numbers ---------------------------------------------------- */

static size_t count_of(const struct if_nameindex *list)
{
	size_t count = 0;

	while (list[count].if_index || list[count].if_name)
		count++;
	return count;
}

/* One block: the entries, the end's, and the names right behind it. */
static struct if_nameindex *copy_list(const struct if_nameindex *from,
				      size_t count,
				      const struct shim_interface *it)
{
	size_t names = (count + 1) * IF_NAMESIZE;
	struct if_nameindex *to = calloc(1, (count + 2) * sizeof(*to) + names);
	char *name = to ? (char *)&to[count + 2] : NULL;

	for (size_t i = 0; to && i <= count; i++, name += IF_NAMESIZE) {
		to[i].if_index = i < count ? from[i].if_index : it->index;
		to[i].if_name = name;
		snprintf(name, IF_NAMESIZE, "%s",
			 i < count ? from[i].if_name : it->its.name);
	}
	return to;
}

/* musl's lists look like ours, and are freed like ours. */
static bool is_one_block(const struct if_nameindex *list)
{
	size_t count = count_of(list);

	return count > 0 && list[0].if_name == (const char *)&list[count + 1];
}

void hook_if_freenameindex(struct if_nameindex *list)
{
	shim_libc_ready();
	if (list && is_one_block(list))
		free(list);
	else
		libc.if_freenameindex(list);
}

struct if_nameindex *hook_if_nameindex(void)
{
	int saved_errno = errno;
	struct if_nameindex *list, *longer;
	struct shim_interface it;

	shim_libc_ready();
	list = libc.if_nameindex();
	for (unsigned i = 0; list && shim_interface_get(i, &it); i++) {
		longer = copy_list(list, count_of(list), &it);
		hook_if_freenameindex(list);
		list = longer;
		errno = list ? saved_errno : ENOBUFS;
	}
	return list;
}

unsigned hook_if_nametoindex(const char *name)
{
	int saved_errno = errno;
	struct shim_interface it;
	char text[IFNAMSIZ] = "";
	unsigned index;

	shim_libc_ready();
	index = libc.if_nametoindex(name);
	/* libc has read the name; too long a one is nobody's. */
	if (index || errno != ENODEV || strlen(name) >= sizeof(text))
		return index;
	strcpy(text, name);
	if (!shim_interface_may_be(text) || !shim_interface_find(text, 0, &it))
		return 0;
	errno = saved_errno;
	return it.index;
}

char *hook_if_indextoname(unsigned index, char *name)
{
	int saved_errno = errno;
	struct shim_interface it;
	char *found;

	shim_libc_ready();
	found = libc.if_indextoname(index, name);
	if (found || errno != ENXIO || !shim_interface_find(NULL, index, &it))
		return found;
	memcpy(name, it.its.name, IF_NAMESIZE);
	errno = saved_errno;
	return name;
}
