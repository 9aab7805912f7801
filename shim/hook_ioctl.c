/* SPDX-License-Identifier: BSD-3-Clause
 * hook_ioctl.c - questions about the tailnet's interface by ioctl(2)
 *
 * For all other requests this is one comparison and a jump. The kernel is asked
 * first, always: only where it knows no such interface (ENODEV: it has read
 * what the program asks by then) is it perhaps ours.
 */
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef ARPHRD_NONE
#define ARPHRD_NONE 0xfffe
#endif
#ifndef SIOCETHTOOL
#define SIOCETHTOOL 0x8946
#endif

enum {
	FIRST_REQUEST = SIOCGIFNAME,
	LAST_REQUEST = SIOCGIFMAP,
	LINK_FLAGS = IFF_UP | IFF_POINTOPOINT | IFF_RUNNING | IFF_NOARP |
		     IFF_MULTICAST,
	QUEUE_LEN = 500, /* a TUN device's */
};

static int put_address(const struct ts_ip *ip, struct ifreq *out)
{
	const struct ts_addr addr = {.ip = *ip};
	struct sockaddr_storage ss;

	if (ts_addr_to_sockaddr(&addr, AF_INET, &ss) < 0)
		return -EADDRNOTAVAIL;
	memcpy(&out->ifr_addr, &ss, sizeof(out->ifr_addr));
	return 0;
}

/* 0 with out filled; -ENODEV: no question that we can answer. */
static int answer(unsigned request, const struct shim_interface *it,
		  struct ifreq *out)
{
	const struct ts_ip whole = ts_ip_from_v4_host(0xffffffff);
	const struct ts_ip none = TS_IP4_ZERO;
	bool has_v4 = ts_ip_is_v4(&it->its.v4);

	switch (request) {
	case SIOCGIFNAME:
		memcpy(out->ifr_name, it->its.name, sizeof(out->ifr_name));
		return 0;
	case SIOCGIFINDEX:
		out->ifr_ifindex = (int)it->index;
		return 0;
	case SIOCGIFFLAGS:
		out->ifr_flags = LINK_FLAGS;
		return 0;
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
		return put_address(&it->its.v4, out);
	case SIOCGIFBRDADDR:
		return has_v4 ? put_address(&none, out) : -EADDRNOTAVAIL;
	case SIOCGIFNETMASK:
		return has_v4 ? put_address(&whole, out) : -EADDRNOTAVAIL;
	case SIOCGIFMETRIC:
		out->ifr_metric = 0;
		return 0;
	case SIOCGIFMTU:
		out->ifr_mtu = it->mtu;
		return 0;
	case SIOCGIFTXQLEN:
		out->ifr_qlen = QUEUE_LEN;
		return 0;
	case SIOCGIFHWADDR:
		memset(&out->ifr_hwaddr, 0, sizeof(out->ifr_hwaddr));
		out->ifr_hwaddr.sa_family = ARPHRD_NONE;
		return 0;
	case SIOCGIFMAP:
		memset(&out->ifr_map, 0, sizeof(out->ifr_map));
		return 0;
	case SIOCETHTOOL:
		return -EOPNOTSUPP;
	default:
		return -ENODEV;
	}
}

static bool is_asked(unsigned request, const struct ifreq *req,
		     struct shim_interface *it)
{
	bool is_name = request != SIOCGIFNAME;

	return (!is_name || shim_interface_may_be(req->ifr_name)) &&
	       shim_interface_find(is_name ? req->ifr_name : NULL,
				   (unsigned)req->ifr_ifindex, it);
}

static int ask_interface(unsigned request, struct ifreq *req)
{
	struct shim_interface it;
	struct ifreq out;
	int err;

	if (!is_asked(request, req, &it))
		return -ENODEV;
	out = *req;
	err = answer(request, &it, &out);
	if (err)
		return err;
	if (!shim_can_write(req, sizeof(*req)))
		return -EFAULT;
	*req = out;
	return 0;
}

/* room: what the program had for the list; the kernel has filled list. */
static void append(struct ifconf *list, int room,
		   const struct shim_interface *it)
{
	struct ifreq own = {0};
	char *end;

	if (put_address(&it->its.v4, &own) != 0)
		return;
	memcpy(own.ifr_name, it->its.name, sizeof(own.ifr_name));
	end = list->ifc_buf ? list->ifc_buf + list->ifc_len : NULL;
	if (end && room - list->ifc_len < (int)sizeof(own))
		return;
	if (end && !shim_can_write(end, sizeof(own)))
		return;
	if (end)
		memcpy(end, &own, sizeof(own));
	list->ifc_len += (int)sizeof(own); /* without a buffer: how much */
}

static int list_interfaces(int fd, unsigned long request, struct ifconf *list)
{
	int saved_errno = errno;
	struct shim_interface it;
	int room;

	if (!shim_can_read(list, sizeof(*list)))
		return libc.ioctl(fd, request, list);
	room = list->ifc_len;
	if (libc.ioctl(fd, request, list) != 0)
		return -1;
	for (unsigned i = 0; shim_interface_get(i, &it); i++)
		append(list, room, &it);
	errno = saved_errno;
	return 0;
}

static int ioctl_interface(int fd, unsigned long request, void *arg)
{
	int saved_errno = errno;
	int ret, err;

	if ((unsigned)request == SIOCGIFCONF)
		return list_interfaces(fd, request, arg);
	ret = libc.ioctl(fd, request, arg);
	if (ret == 0 || errno != ENODEV)
		return ret;
	err = ask_interface((unsigned)request, arg);
	errno = saved_errno;
	return shim_to_libc(err);
}

int hook_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	/* There may be none; the kernel knows which requests have one. */
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	shim_libc_ready();
	if ((unsigned)request - FIRST_REQUEST > LAST_REQUEST - FIRST_REQUEST)
		return libc.ioctl(fd, request, arg);
	return ioctl_interface(fd, request, arg);
}
