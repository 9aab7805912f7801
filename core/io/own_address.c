/* SPDX-License-Identifier: BSD-3-Clause
 * own_address.c - which addresses are ours, and which one a packet would have
 *
 * The kernel is asked as for a packet, by a UDP socket that sends none: so
 * metrics, tables and rules count.
 */
#include "core/io/own_address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct ts_ip ts_own_address_towards(const char *text)
{
	struct ts_addr to = {.port = 9}, from = {0};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int family, fd, ss_len;

	if (ts_ip_parse(text, &to.ip))
		return from.ip;
	family = ts_ip_is_v4(&to.ip) ? AF_INET : AF_INET6;
	ss_len = ts_addr_to_sockaddr(&to, family, &ss);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return from.ip;
	if (connect(fd, (struct sockaddr *)&ss, (socklen_t)ss_len) ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    ts_addr_from_sockaddr((struct sockaddr *)&ss, len, &from) < 0)
		from.ip = TS_IP_ZERO;
	close(fd);
	return from.ip;
}

bool ts_is_own_address(const struct ts_ip *ip)
{
	struct ts_addr addr = {.ip = *ip};
	int family = ts_ip_is_v4(ip) ? AF_INET : AF_INET6;
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(&addr, family, &ss);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_own = true;

	if (fd < 0)
		return true;
	/* Other errors say nothing: a link-local address needs its link. */
	if (len > 0 && bind(fd, (struct sockaddr *)&ss, (socklen_t)len))
		is_own = errno != EADDRNOTAVAIL;
	close(fd);
	return is_own;
}

static bool is_usable(const struct ifaddrs *ifa, bool loopback,
		      struct ts_ip *out)
{
	struct ts_addr addr;
	socklen_t len;

	if (!ifa->ifa_addr || !(ifa->ifa_flags & IFF_UP))
		return false;
	len = ifa->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
						  : sizeof(struct sockaddr_in6);
	if ((ifa->ifa_addr->sa_family != AF_INET &&
	     ifa->ifa_addr->sa_family != AF_INET6) ||
	    ts_addr_from_sockaddr(ifa->ifa_addr, len, &addr) < 0)
		return false;
	*out = addr.ip;
	return ts_ip_is_loopback(out) == loopback &&
	       !ts_ip_is_link_local(out) && !ts_ip_is_tailscale(out) &&
	       !ts_ip_is_unspecified(out);
}

static size_t collect(const struct ifaddrs *list, bool loopback,
		      struct ts_ip *out, size_t cap)
{
	size_t count = 0;

	for (const struct ifaddrs *ifa = list; ifa && count < cap;
	     ifa = ifa->ifa_next)
		if (is_usable(ifa, loopback, &out[count]))
			count++;
	return count;
}

static uint8_t bits_of(const struct ifaddrs *ifa, const struct ts_ip *ip)
{
	struct ts_addr mask;
	uint8_t bits = 0, before = ts_ip_is_v4(ip) ? 96 : 0;

	if (!ifa->ifa_netmask ||
	    ts_addr_from_sockaddr(ifa->ifa_netmask,
				  ts_ip_is_v4(ip) ? sizeof(struct sockaddr_in)
						  : sizeof(struct sockaddr_in6),
				  &mask) < 0)
		return 128;
	for (unsigned i = before / 8; i < TS_IP_LEN; i++)
		bits = (uint8_t)(bits + __builtin_popcount(mask.ip.bytes[i]));
	return (uint8_t)(before + bits);
}

size_t ts_local_networks(struct ts_prefix *out, size_t cap)
{
	struct ifaddrs *list;
	size_t count = 0;

	if (getifaddrs(&list))
		return 0;
	for (const struct ifaddrs *ifa = list; ifa && count < cap;
	     ifa = ifa->ifa_next) {
		struct ts_ip ip;

		if (ifa->ifa_addr && is_usable(ifa, false, &ip))
			out[count++] =
				(struct ts_prefix){ip, bits_of(ifa, &ip)};
	}
	freeifaddrs(list);
	return count;
}

size_t ts_local_addresses(struct ts_ip *out, size_t cap)
{
	struct ifaddrs *list;
	size_t count;

	if (getifaddrs(&list))
		return 0;
	count = collect(list, false, out, cap);
	if (!count)
		count = collect(list, true, out, cap);
	freeifaddrs(list);
	return count;
}
