/* SPDX-License-Identifier: BSD-3-Clause
 * interface.c - the network interface that programs are shown
 *
 * With a kernel's tunnel the tailnet would be an interface of the host; here it
 * is one in the answers of the hooks alone: a name and a number that nothing
 * real has, and the node's addresses once it has any. It is there as soon as
 * the host is; nothing here starts one.
 *
 * A socket is tied to it (SO_BINDTODEVICE) by being tied to lo: the kernel then
 * keeps it off every other interface, for all who ever have it, and what goes
 * to the tailnet goes by lo. That it is our interface and not lo that was
 * asked for is told by IP_MULTICAST_ALL, which is without meaning for TCP and
 * for a socket on lo, and which nobody else switches off there.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif

enum { FIRST_INDEX = 0x7473, NAMES_MAX = 100 };

static const char STEM[] = "tailscale";

/* -- what it is ---------------------------------------------------------- */

bool shim_interface_may_be(const char name[static IFNAMSIZ])
{
	return memcmp(name, STEM, sizeof(STEM) - 1) == 0;
}

static bool choose_name(char out[static IFNAMSIZ])
{
	for (int i = 0; i < NAMES_MAX; i++) {
		snprintf(out, IFNAMSIZ, "%s%d", STEM, i);
		if (libc.if_nametoindex(out) == 0)
			return true;
	}
	return false;
}

static unsigned choose_index(void)
{
	char name[IF_NAMESIZE];
	unsigned index = FIRST_INDEX;

	while (libc.if_indextoname(index, name))
		index++;
	return index;
}

unsigned shim_interface_index(void)
{
	unsigned index = atomic_load(&shim.interface_index);

	if (index == 0) {
		index = choose_index();
		atomic_store(&shim.interface_index, index);
	}
	return index;
}

bool shim_interface_get(struct shim_interface *out)
{
	const struct ts_table_layout *table;
	struct ts_table_info info;
	int saved_errno = errno;
	bool is_there;

	*out = (struct shim_interface){0};
	if (shim_is_engine_thread())
		return false;
	table = shim_table();
	is_there = table && ts_table_read_info(table, &info) &&
		   choose_name(out->name);
	if (is_there) {
		out->index = shim_interface_index();
		out->mtu = info.mtu;
		out->v4 = info.own_v4;
		out->v6 = info.own_v6;
	}
	errno = saved_errno;
	return is_there;
}

/* -- sockets that are tied to it ------------------------------------------ */

static bool is_tied_to_lo(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	return libc.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) ==
		       0 &&
	       strncmp(name, "lo", sizeof(name)) == 0;
}

bool shim_is_tied(int fd)
{
	int saved_errno = errno;
	bool is_tied = atomic_load(&shim.table) && is_tied_to_lo(fd) &&
		       shim_native_option(fd, IPPROTO_IP, IP_MULTICAST_ALL) ==
			       0;

	errno = saved_errno;
	return is_tied;
}

static void mark(int fd, bool is_ours)
{
	const int all = !is_ours;

	libc.setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &all, sizeof(all));
}

static int tie(int fd)
{
	if (libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) != 0)
		return -errno;
	mark(fd, true);
	atomic_store(&shim.has_tied, true);
	return 0;
}

/* The kernel's own view of a name: cut, and up to a NUL. */
static bool is_its_name(const struct shim_interface *it, const void *value,
			socklen_t len)
{
	char name[IFNAMSIZ] = "";

	memcpy(name, value, len < sizeof(name) ? len : sizeof(name) - 1);
	return strncmp(name, it->name, sizeof(name)) == 0;
}

int shim_tie_by_name(int fd, const void *value, socklen_t len)
{
	struct shim_interface it;

	/* The kernel says so only after it has read the name. */
	return shim_interface_get(&it) && is_its_name(&it, value, len)
		       ? tie(fd)
		       : -ENODEV;
}

int shim_tie_by_index(int fd, const void *value)
{
	struct shim_interface it;
	unsigned index;

	memcpy(&index, value, sizeof(index));
	return shim_interface_get(&it) && index == it.index ? tie(fd)
							    : -ENODEV;
}

/* It was tied to something else: to lo, perhaps, now for its own sake. */
void shim_untie(int fd)
{
	if (atomic_load(&shim.has_tied))
		mark(fd, false);
}

int shim_tied_name(int fd, void *value, socklen_t *len)
{
	struct shim_interface it;
	socklen_t whole;

	if (!shim_is_tied(fd) || !shim_interface_get(&it))
		return 0;
	/* The kernel found room for any name, and used that for "lo". */
	whole = (socklen_t)strlen(it.name) + 1;
	if (!shim_can_write(value, whole))
		return -EFAULT;
	memcpy(value, it.name, whole);
	*len = whole;
	return 0;
}

void shim_tied_index(int fd, void *value, socklen_t len)
{
	struct shim_interface it;

	if (!shim_is_tied(fd) || !shim_interface_get(&it))
		return;
	memcpy(value, &it.index,
	       len < sizeof(it.index) ? len : sizeof(it.index));
}
