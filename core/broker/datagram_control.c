/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_control.c - addresses in control data
 *
 * Delivered with a datagram: IP_PKTINFO, IPV6_PKTINFO and IP_ORIGDSTADDR name
 * the loopback address that it was sent to, and IP_RECVERR the virtual address
 * of the peer as the offender. Both become the tailnet's, in place; anything
 * else, time stamps and TOS for example, is the kernel's and stays.
 *
 * To be sent: a program that answers from the address that was written to
 * (IP_PKTINFO) names the tailnet's, from which the kernel cannot send to
 * loopback. The node has one address a family, so the choice is made already,
 * and such control data is left out of a copy. An interface is left out too:
 * it would send the virtual address to a real network.
 *
 * The lengths are read as 32 bits: so far musl's structures go, where glibc's
 * have 64; whatever the kernel takes is shorter.
 */
#include "core/broker/datagram_control.h"

#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>


#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { ICMP_PORT_UNREACHABLE = 3, ICMP6_PORT_UNREACHABLE = 4 };
enum { ICMP_UNREACHABLE = 3, ICMP6_UNREACHABLE = 1 };

/* -- names ---------------------------------------------------------------- */

static const uint8_t MAPPED_127[] = {[10] = 0xff, 0xff, 127};
static const uint8_t LOOPBACK6[TS_IP_LEN] = {[15] = 1};

/* What has to be there of a name to know whose it is. */
enum {
	V4_NEEDED = offsetof(struct sockaddr_in, sin_zero),
	V6_NEEDED = offsetof(struct sockaddr_in6, sin6_scope_id),
};

bool ts_sockaddr_is_loopback(const struct sockaddr *addr, socklen_t len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const uint8_t *ip = in6->sin6_addr.s6_addr;

	if (len < V4_NEEDED)
		return false;
	if (addr->sa_family == AF_INET)
		return *(const uint8_t *)&in->sin_addr == 127;
	return addr->sa_family == AF_INET6 && len >= V6_NEEDED &&
	       (memcmp(ip, MAPPED_127, sizeof(MAPPED_127)) == 0 ||
		memcmp(ip, LOOPBACK6, sizeof(LOOPBACK6)) == 0);
}

/* -- walking -------------------------------------------------------------- */

/* One piece: its header copied, its data in place. */
struct piece {
	uint8_t *at, *data;
	int level, type;
	size_t len, data_len; /* with and without header */
	size_t step;	      /* to the next one */
};

static size_t control_len(const struct msghdr *msg)
{
	return msg->msg_control ? (uint32_t)msg->msg_controllen : 0;
}

static bool piece_at(uint8_t *at, size_t left, struct piece *out)
{
	struct cmsghdr head;

	if (left < sizeof(head))
		return false;
	memcpy(&head, at, sizeof(head));
	out->len = (uint32_t)head.cmsg_len;
	if (out->len < CMSG_LEN(0) || out->len > left)
		return false;
	out->at = at;
	out->data = at + CMSG_LEN(0);
	out->data_len = out->len - CMSG_LEN(0);
	out->level = head.cmsg_level;
	out->type = head.cmsg_type;
	out->step = CMSG_ALIGN(out->len);
	if (out->step > left)
		out->step = left;
	return true;
}

static bool is_type(const struct piece *p, int level, int type, size_t len)
{
	return p->level == level && p->type == type && p->data_len >= len;
}

/* -- to be sent ----------------------------------------------------------- */

static bool is_source(const struct piece *p)
{
	return is_type(p, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo)) ||
	       is_type(p, IPPROTO_IPV6, IPV6_PKTINFO,
		       sizeof(struct in6_pktinfo));
}

bool ts_control_has_source(const struct msghdr *msg)
{
	size_t left = control_len(msg);
	uint8_t *at = msg->msg_control;
	struct piece p;

	for (; piece_at(at, left, &p); at += p.step, left -= p.step)
		if (is_source(&p))
			return true;
	return false;
}

unsigned ts_control_segment(const struct msghdr *msg)
{
	size_t left = control_len(msg);
	uint8_t *at = msg->msg_control;
	struct piece p;
	uint16_t size;

	for (; piece_at(at, left, &p); at += p.step, left -= p.step) {
		if (!is_type(&p, IPPROTO_UDP, UDP_SEGMENT, sizeof(size)))
			continue;
		memcpy(&size, p.data, sizeof(size));
		return size;
	}
	return 0;
}

static struct ts_ip source_of(const struct piece *p)
{
	struct in_pktinfo info;
	struct in6_pktinfo info6;
	struct ts_ip ip;

	if (p->level == IPPROTO_IP) {
		memcpy(&info, p->data, sizeof(info));
		return ts_ip_from_v4_host(ntohl(info.ipi_spec_dst.s_addr));
	}
	memcpy(&info6, p->data, sizeof(info6));
	memcpy(ip.bytes, &info6.ipi6_addr, sizeof(ip.bytes));
	return ip;
}

/* Not an address of the host, which the kernel may judge. */
static bool is_left_out(const struct ts_table_layout *table,
			const struct piece *p)
{
	struct ts_ip ip = source_of(p);

	return ts_ip_is_unspecified(&ip) || ts_ip_is_loopback(&ip) ||
	       (table && ts_table_is_own(table, &ip));
}

static void forget_interface(const struct piece *p)
{
	const int none = 0;

	memcpy(p->data + (p->level == IPPROTO_IP
				  ? offsetof(struct in_pktinfo, ipi_ifindex)
				  : offsetof(struct in6_pktinfo, ipi6_ifindex)),
	       &none, sizeof(none));
}

int ts_control_rewrite(const struct ts_table_layout *table,
		       const struct msghdr *msg, struct msghdr *out,
		       uint8_t room[static TS_CONTROL_CAP])
{
	size_t left = control_len(msg), used = 0;
	uint8_t *at = msg->msg_control;
	struct piece p, copy;

	*out = *msg;
	if (left > TS_CONTROL_CAP)
		return -ENOBUFS;
	for (; piece_at(at, left, &p); at += p.step, left -= p.step) {
		if (is_source(&p) && is_left_out(table, &p))
			continue;
		memcpy(room + used, p.at, p.step);
		if (is_source(&p) && piece_at(room + used, p.step, &copy))
			forget_interface(&copy);
		used += p.step;
	}
	/* What cannot be read as a piece is the kernel's to refuse. */
	memcpy(room + used, at, left);
	out->msg_control = used + left ? room : NULL;
	out->msg_controllen = used + left;
	return 0;
}

/* -- delivered ------------------------------------------------------------ */

static void show_pktinfo(const struct piece *p, const struct ts_ip *own,
			 unsigned interface)
{
	struct in_pktinfo info;
	struct in_addr addr = {htonl(ts_ip_v4_host(own))};

	memcpy(&info, p->data, sizeof(info));
	if (!ts_ip_is_v4(own) || ntohl(info.ipi_addr.s_addr) >> 24 != 127)
		return;
	info.ipi_addr = info.ipi_spec_dst = addr;
	if (interface)
		info.ipi_ifindex = (int)interface;
	memcpy(p->data, &info, sizeof(info));
}

static void show_pktinfo6(const struct piece *p, const struct ts_ip *own,
			  unsigned interface)
{
	struct in6_pktinfo info;
	struct ts_ip now;

	memcpy(&info, p->data, sizeof(info));
	memcpy(now.bytes, &info.ipi6_addr, sizeof(now.bytes));
	if (!ts_ip_is_loopback(&now))
		return;
	memcpy(&info.ipi6_addr, own->bytes, sizeof(info.ipi6_addr));
	if (interface)
		info.ipi6_ifindex = interface;
	memcpy(p->data, &info, sizeof(info));
}

/* A name inside, where it is a loopback one. */
static void show_name(uint8_t *at, size_t len, const struct ts_addr *addr)
{
	struct sockaddr_storage ss = {0};
	int whole;

	memcpy(&ss, at, len < sizeof(ss) ? len : sizeof(ss));
	if (!ts_sockaddr_is_loopback((struct sockaddr *)&ss, (socklen_t)len))
		return;
	whole = ts_addr_to_sockaddr(addr, ss.ss_family, &ss);
	if (whole > 0 && (size_t)whole <= len)
		memcpy(at, &ss, (size_t)whole);
}

/* The kernel heard it on 127/8, in IPv4's words. */
static void show_error(const struct piece *p, const struct ts_addr *peer)
{
	struct sock_extended_err err;
	struct ts_addr offender = {.ip = peer->ip};

	memcpy(&err, p->data, sizeof(err));
	if (!ts_ip_is_v4(&peer->ip) && err.ee_origin == SO_EE_ORIGIN_ICMP &&
	    err.ee_type == ICMP_UNREACHABLE &&
	    err.ee_code == ICMP_PORT_UNREACHABLE) {
		err.ee_origin = SO_EE_ORIGIN_ICMP6;
		err.ee_type = ICMP6_UNREACHABLE;
		err.ee_code = ICMP6_PORT_UNREACHABLE;
		memcpy(p->data, &err, sizeof(err));
	}
	show_name(p->data + sizeof(err), p->data_len - sizeof(err), &offender);
}

static void show_piece(const struct piece *p, const struct ts_flow_entry *e,
		       unsigned interface)
{
	if (is_type(p, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo)))
		show_pktinfo(p, &e->tailnet_local.ip, interface);
	else if (is_type(p, IPPROTO_IPV6, IPV6_PKTINFO,
			 sizeof(struct in6_pktinfo)))
		show_pktinfo6(p, &e->tailnet_local.ip, interface);
	else if (is_type(p, IPPROTO_IP, IP_ORIGDSTADDR, 1) ||
		 is_type(p, IPPROTO_IPV6, IPV6_ORIGDSTADDR, 1))
		show_name(p->data, p->data_len, &e->tailnet_local);
	else if (is_type(p, IPPROTO_IP, IP_RECVERR,
			 sizeof(struct sock_extended_err)) ||
		 is_type(p, IPPROTO_IPV6, IPV6_RECVERR,
			 sizeof(struct sock_extended_err)))
		show_error(p, &e->tailnet_remote);
}

void ts_control_show(const struct msghdr *msg,
		     const struct ts_flow_entry *entry, unsigned interface)
{
	size_t left = control_len(msg);
	uint8_t *at = msg->msg_control;
	struct piece p;

	for (; piece_at(at, left, &p); at += p.step, left -= p.step)
		show_piece(&p, entry, interface);
}
