/* SPDX-License-Identifier: BSD-3-Clause
 * interface.c - the network interfaces that programs are shown
 *
 * With a kernel's tunnel the tailnet would be an interface of the host; here it
 * is one in the answers of the hooks alone: a name (the host's choice) and a
 * number that nothing real has, and the node's addresses once it has any. There
 * is one for each node, as soon as the host is there; nothing here starts one.
 *
 * A socket is tied to it (SO_BINDTODEVICE) by being tied to lo: the kernel then
 * keeps it off every other interface, for all who ever have it, and what goes
 * to the tailnet goes by lo. That it is our interface and not lo that was
 * asked for is told by IP_MULTICAST_ALL, which is without meaning for TCP and
 * for a socket on lo, and which nobody else switches off there; and which of
 * several it is, by TS_INTERFACE_MARK.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "core/broker/option_rule.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif

enum { FIRST_INDEX = 0x7473 };

static const char STEM[] = "tailscale";

/* -- what it is ----------------------------------------------------------- */

bool shim_interface_may_be(const char name[static IFNAMSIZ])
{
	return memcmp(name, STEM, sizeof(STEM) - 1) == 0;
}

static unsigned choose_index(void)
{
	char name[IF_NAMESIZE];
	unsigned index = FIRST_INDEX;

	while (libc.if_indextoname(index, name))
		index++;
	return index;
}

static unsigned first_index(void)
{
	unsigned index = atomic_load(&shim.interface_index);

	if (index == 0) {
		index = choose_index();
		atomic_store(&shim.interface_index, index);
	}
	return index;
}

bool shim_interface_get(unsigned i, struct shim_interface *out)
{
	const struct ts_table_layout *table;
	int saved_errno = errno;
	bool is_there;

	if (shim_is_engine_thread())
		return false;
	table = shim_table();
	is_there = table && ts_table_get_interface(table, i, &out->its);
	if (is_there) {
		out->order = (int)i;
		out->index = first_index() + i;
		out->mtu = ts_table_mtu(table);
	}
	errno = saved_errno;
	return is_there;
}

bool shim_interface_find(const char *name, unsigned index,
			 struct shim_interface *out)
{
	for (unsigned i = 0; shim_interface_get(i, out); i++)
		if (name ? strncmp(name, out->its.name, IFNAMSIZ - 1) == 0
			 : index == out->index)
			return true;
	return false;
}

unsigned shim_interface_of(const struct ts_ip *own)
{
	struct shim_interface it;

	for (unsigned i = 0; shim_interface_get(i, &it); i++)
		if (ts_ip_equal(own, &it.its.v4) ||
		    ts_ip_equal(own, &it.its.v6))
			return it.index;
	return first_index();
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

/* To which: 1, 2, ... or 0. */
static unsigned tied_number(int fd)
{
	int saved_errno = errno, number = 0;

	if (atomic_load(&shim.table) && is_tied_to_lo(fd) &&
	    shim_native_option(fd, IPPROTO_IP, IP_MULTICAST_ALL) == 0)
		number = shim_native_option(fd, IPPROTO_IP, TS_INTERFACE_MARK);
	errno = saved_errno;
	return number > 0 ? (unsigned)number : 0;
}

bool shim_is_tied(int fd)
{
	return tied_number(fd) > 0;
}

static void mark(int fd, int all, int number)
{
	libc.setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &all, sizeof(all));
	libc.setsockopt(fd, IPPROTO_IP, TS_INTERFACE_MARK, &number,
			sizeof(number));
}

static int tie(int fd, const struct shim_interface *it)
{
	if (libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) != 0)
		return -errno;
	mark(fd, 0, it->order + 1);
	atomic_store(&shim.has_tied, true);
	return 0;
}

int shim_tie_by_name(int fd, const void *value, socklen_t len)
{
	struct shim_interface it;
	char name[IFNAMSIZ] = "";

	/* The kernel's own view of a name: cut, and up to a NUL; it says that
	 * there is none only after it has read the name. */
	memcpy(name, value, len < sizeof(name) ? len : sizeof(name) - 1);
	return shim_interface_find(name, 0, &it) ? tie(fd, &it) : -ENODEV;
}

int shim_tie_by_index(int fd, const void *value)
{
	struct shim_interface it;
	unsigned index;

	memcpy(&index, value, sizeof(index));
	return shim_interface_find(NULL, index, &it) ? tie(fd, &it) : -ENODEV;
}

/* It was tied to something else: to lo, perhaps, now for its own sake. */
void shim_untie(int fd)
{
	if (atomic_load(&shim.has_tied))
		mark(fd, 1, 0);
}

/* false: to none of ours. */
static bool find_tied(int fd, struct shim_interface *out)
{
	unsigned number = tied_number(fd);

	return number > 0 && shim_interface_get(number - 1, out);
}

int shim_tied_name(int fd, void *value, socklen_t *len)
{
	struct shim_interface it;
	socklen_t whole;

	if (!find_tied(fd, &it))
		return 0;
	/* The kernel found room for any name, and used that for "lo". */
	whole = (socklen_t)strlen(it.its.name) + 1;
	if (!shim_can_write(value, whole))
		return -EFAULT;
	memcpy(value, it.its.name, whole);
	*len = whole;
	return 0;
}

void shim_tied_index(int fd, void *value, socklen_t len)
{
	struct shim_interface it;

	if (find_tied(fd, &it))
		memcpy(value, &it.index,
		       len < sizeof(it.index) ? len : sizeof(it.index));
}
