/* SPDX-License-Identifier: BSD-3-Clause
 * gateway.c - which router our packets to the internet go through (rtnetlink)
 *
 * The kernel is asked for the route of one public address, as it would be
 * looked up for a packet: that honours metrics, tables and rules, and costs
 * the same on a machine with a full routing table, which a dump would not.
 */
#include "core/io/gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/io/own_address.h"

enum { ANSWER_CAP = 4096, IP4_LEN = 4 };

struct question {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr attr;
	uint8_t to[IP4_LEN];
};

static int ask(int fd)
{
	struct question q = {
		.header = {.nlmsg_len = sizeof(q),
			   .nlmsg_type = RTM_GETROUTE,
			   .nlmsg_flags = NLM_F_REQUEST},
		.route = {.rtm_family = AF_INET, .rtm_dst_len = 8 * IP4_LEN},
		.attr = {.rta_len = RTA_LENGTH(IP4_LEN), .rta_type = RTA_DST},
	};

	if (inet_pton(AF_INET, TS_SOMEWHERE_V4, q.to) != 1)
		return -EINVAL;
	return send(fd, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

/* The kernel has answered before send() returns: there is no waiting. */
static ssize_t receive(int fd, void *buf, size_t cap)
{
	ssize_t got = recv(fd, buf, cap, MSG_DONTWAIT);

	return got < 0 ? -errno : got;
}

static void take_ip(const struct rtattr *attr, struct ts_ip *out)
{
	if (RTA_PAYLOAD(attr) == IP4_LEN)
		*out = ts_ip_from_v4(RTA_DATA(attr));
}

static int read_answer(const struct nlmsghdr *header, size_t len,
		       struct ts_ip *gateway)
{
	const struct rtmsg *route = NLMSG_DATA(header);
	const struct rtattr *attr;
	size_t left;

	if (!NLMSG_OK(header, len) || header->nlmsg_type != RTM_NEWROUTE ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*route)) ||
	    route->rtm_type != RTN_UNICAST)
		return -ENOENT;
	left = RTM_PAYLOAD(header);
	for (attr = RTM_RTA(route); RTA_OK(attr, left);
	     attr = RTA_NEXT(attr, left))
		if (attr->rta_type == RTA_GATEWAY)
			take_ip(attr, gateway);
	return ts_ip_is_zero(gateway) ? -ENOENT : 0;
}

int ts_default_gateway(struct ts_ip *gateway, struct ts_ip *own)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[ANSWER_CAP];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t got;
	int err;

	*gateway = TS_IP_ZERO;
	*own = ts_own_address_towards(TS_SOMEWHERE_V4);
	if (fd < 0)
		return -errno;
	err = ask(fd);
	got = err ? err : receive(fd, answer.bytes, sizeof(answer.bytes));
	close(fd);
	if (got < 0)
		return (int)got;
	err = read_answer(&answer.header, (size_t)got, gateway);
	return !err && ts_ip_is_zero(own) ? -ENOENT : err;
}
