/* SPDX-License-Identifier: BSD-3-Clause
 * option_rule.c - what a socket option means on a connection to the tailnet
 */
#include "core/broker/option_rule.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/err.h"

#ifndef SO_NOFCS
#define SO_NOFCS 43
#endif
#ifndef TCP_CC_INFO
#define TCP_CC_INFO 26
#endif
#ifndef TCP_MD5SIG_EXT
#define TCP_MD5SIG_EXT 32
#endif
#ifndef IP_MTU
#define IP_MTU 14
#endif
#ifndef TCP_REPAIR
#define TCP_REPAIR 19
#endif
#ifndef IP_MINTTL
#define IP_MINTTL 21
#endif
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

static const char CC_NAMES[][TS_CC_NAME_CAP] = {
	[TS_CC_CUBIC] = "cubic",
	[TS_CC_BBR] = "bbr",
};

/* The one is of packet sockets alone, the other of datagrams. */
static const int CC_MARKS[] = {
	[TS_CC_CUBIC] = SO_NOFCS,
	[TS_CC_BBR] = SO_RXQ_OVFL,
};

static const struct ts_option_rule RULES[] = {
	{SOL_SOCKET, SO_KEEPALIVE, TS_OPTION_CARRIED},
	{IPPROTO_TCP, TCP_KEEPIDLE, TS_OPTION_CARRIED},
	{IPPROTO_TCP, TCP_KEEPINTVL, TS_OPTION_CARRIED},
	{IPPROTO_TCP, TCP_KEEPCNT, TS_OPTION_CARRIED},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, TS_OPTION_CARRIED},
	{IPPROTO_TCP, TCP_MAXSEG, TS_OPTION_CARRIED | TS_OPTION_ANSWERED},
	{IPPROTO_IP, IP_TOS, TS_OPTION_CARRIED},
	{IPPROTO_IP, IP_TTL, TS_OPTION_CARRIED},
	{IPPROTO_IPV6, IPV6_TCLASS, TS_OPTION_CARRIED},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, TS_OPTION_CARRIED},
	{IPPROTO_TCP, TCP_INFO, TS_OPTION_ANSWERED},
	{IPPROTO_TCP, TCP_CONGESTION, TS_OPTION_CARRIED | TS_OPTION_ANSWERED},
	{IPPROTO_TCP, TCP_CC_INFO, TS_OPTION_ANSWERED},
	{IPPROTO_IP, IP_MTU, TS_OPTION_ANSWERED},
	{IPPROTO_IPV6, IPV6_MTU, TS_OPTION_ANSWERED},
	{IPPROTO_TCP, TCP_REPAIR, TS_OPTION_REFUSED},
	{IPPROTO_IP, IP_OPTIONS, TS_OPTION_REFUSED},
	{IPPROTO_IP, IP_MINTTL, TS_OPTION_REFUSED},
	{IPPROTO_IPV6, IPV6_MINHOPCOUNT, TS_OPTION_REFUSED},
	{IPPROTO_TCP, TCP_MD5SIG, TS_OPTION_KEYED},
	{IPPROTO_TCP, TCP_MD5SIG_EXT, TS_OPTION_KEYED},
};

const struct ts_option_rule *ts_option_rules(size_t *count)
{
	*count = ARRAY_LEN(RULES);
	return RULES;
}

unsigned ts_option_rule(int level, int name)
{
	for (size_t i = 0; i < ARRAY_LEN(RULES); i++)
		if (RULES[i].level == level && RULES[i].name == name)
			return RULES[i].rules;
	return 0;
}

/* IP options that say nothing: ends of the list, and fillers. */
static bool is_padding(const void *value, size_t len)
{
	const uint8_t *bytes = value;

	for (size_t i = 0; i < len; i++)
		if (bytes[i] > 1)
			return false;
	return true;
}

const char *ts_option_cc_name(unsigned cc)
{
	return cc < ARRAY_LEN(CC_NAMES) ? CC_NAMES[cc] : NULL;
}

int ts_option_cc_find(const void *value, size_t len)
{
	char text[TS_CC_NAME_CAP] = "";

	memcpy(text, value, len < sizeof(text) ? len : sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_LEN(CC_NAMES); i++)
		if (strcmp(text, CC_NAMES[i]) == 0)
			return (int)i;
	return -ENOENT;
}

int ts_option_cc_mark(enum ts_cc cc)
{
	return CC_MARKS[cc];
}

int ts_option_judge(int level, int name, const void *value, size_t len)
{
	int number = 0;

	if (level == IPPROTO_IP && name == IP_OPTIONS)
		return is_padding(value, len) ? 0 : -EINVAL;
	if (len >= sizeof(number))
		memcpy(&number, value, sizeof(number));
	else if (len > 0)
		number = *(const uint8_t *)value;
	if (number == 0)
		return 0;
	return name == TCP_REPAIR && level == IPPROTO_TCP ? -EPERM
							  : -ENOPROTOOPT;
}

/* struct tcp_md5sig begins with it. */
bool ts_option_key_addr(const void *value, size_t len, struct ts_addr *out)
{
	struct sockaddr_storage addr;

	if (len < sizeof(addr))
		return false;
	memcpy(&addr, value, sizeof(addr));
	return ts_addr_from_sockaddr((struct sockaddr *)&addr, sizeof(addr),
				     out) == 0;
}
