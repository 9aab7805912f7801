/* SPDX-License-Identifier: BSD-3-Clause
 * socket_options.c - what an option means on a connection to the tailnet
 *
 * The program's kernel keeps every option of its sockets; that is the truth for
 * most of them, since a socket to the tailnet is a TCP socket over loopback.
 * Only these are more:
 *
 *   carried    the host reads them from the socket, into the tunnel's
 *              connection: with CONNECT and ACCEPTED, and when they change
 *   answered   about the way to the far end: by the tunnel's connection
 *   refused    what neither loopback nor the tunnel would do
 *
 * The kernel is always asked first, so that a bad pointer, a bad length and a
 * bad descriptor get its own answer, and what it wrote to may be written to.
 * An option that must be refused is undone where it had an effect.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef TCP_CC_INFO
#define TCP_CC_INFO 26
#endif
#ifndef TCP_MD5SIG_EXT
#define TCP_MD5SIG_EXT 32
#endif
#ifndef TCP_AO_ADD_KEY
#define TCP_AO_ADD_KEY 38
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

enum { CC_NAME_CAP = 16 };

/* The tunnel's congestion control: lwIP's, which is NewReno. */
static const char OUR_CC[CC_NAME_CAP] = "reno";

static bool is_from(int level, int name, const int (*list)[2], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i][0] == level && list[i][1] == name)
			return true;
	return false;
}

static bool is_carried(int level, int name)
{
	static const int list[][2] = {
		{SOL_SOCKET, SO_KEEPALIVE},
		{IPPROTO_TCP, TCP_KEEPIDLE},
		{IPPROTO_TCP, TCP_KEEPINTVL},
		{IPPROTO_TCP, TCP_KEEPCNT},
		{IPPROTO_TCP, TCP_USER_TIMEOUT},
		{IPPROTO_TCP, TCP_MAXSEG},
		{IPPROTO_IP, IP_TOS},
		{IPPROTO_IP, IP_TTL},
		{IPPROTO_IPV6, IPV6_TCLASS},
		{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	};

	return is_from(level, name, list, sizeof(list) / sizeof(*list));
}

static bool is_answered(int level, int name)
{
	static const int list[][2] = {
		{IPPROTO_TCP, TCP_INFO},
		{IPPROTO_TCP, TCP_MAXSEG},
		{IPPROTO_TCP, TCP_CONGESTION},
		{IPPROTO_TCP, TCP_CC_INFO},
		{IPPROTO_IP, IP_MTU},
		{IPPROTO_IPV6, IPV6_MTU},
	};

	return is_from(level, name, list, sizeof(list) / sizeof(*list));
}

static bool is_refused(int level, int name)
{
	static const int list[][2] = {
		{IPPROTO_TCP, TCP_CONGESTION},
		{IPPROTO_TCP, TCP_REPAIR},
		{IPPROTO_IP, IP_OPTIONS},
		{IPPROTO_IP, IP_MINTTL},
		{IPPROTO_IPV6, IPV6_MINHOPCOUNT},
	};

	return is_from(level, name, list, sizeof(list) / sizeof(*list));
}

/* The flow of a connected TCP socket; cheap for all that have none. */
static bool find_flow(int fd, struct ts_flow_key *key)
{
	struct ts_flow_entry entry;

	*key = (struct ts_flow_key){.proto = IPPROTO_TCP};
	if (!(shim.is_hosted || atomic_load(&shim.table)) ||
	    shim_native_peer(fd, &key->remote) ||
	    !ts_ip_is_loopback(&key->remote.ip) || !shim_table() ||
	    shim_native_local(fd, &key->local) ||
	    !shim_flow_find(&key->local, &key->remote, &entry))
		return false;
	return shim_native_is_tcp(fd);
}

/* -- setting ------------------------------------------------------------- */

/* A connection that is over has nothing to be told. */
static int carry(int fd)
{
	struct ts_flow_key key;
	struct ts_broker_request req = {.type = TS_BROKER_OPTIONS,
					.proto = IPPROTO_TCP};
	struct ts_broker_reply rep;
	int err;

	if (!find_flow(fd, &key))
		return 0;
	req.native_local = key.local;
	req.native_remote = key.remote;
	err = shim_ask_for(&req, fd, &rep);
	shim_note("options: fd %d: %d", fd, err);
	return err == 0 || err == -ENOENT ? 0 : -ENOBUFS;
}

/* IP options that say nothing: ends of the list, and fillers. */
static bool is_padding(const void *value, socklen_t len)
{
	const uint8_t *bytes = value;

	for (socklen_t i = 0; i < len; i++)
		if (bytes[i] > 1)
			return false;
	return true;
}

/* After the kernel took it: would it do anything on the way to the far end? */
static int judge(int level, int name, const void *value, socklen_t len)
{
	char text[CC_NAME_CAP] = "";
	int number = 0;

	if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
		memcpy(text, value,
		       len < sizeof(text) ? len : sizeof(text) - 1);
		return strcmp(text, OUR_CC) ? -ENOENT : 0;
	}
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

static int refuse_or_not(int fd, int level, int name, const void *value,
			 socklen_t len)
{
	const int off = 0;
	struct ts_flow_key key;
	int err = find_flow(fd, &key) ? judge(level, name, value, len) : 0;

	if (!err)
		return 0;
	if (level == IPPROTO_IP && name == IP_OPTIONS)
		libc.setsockopt(fd, level, name, NULL, 0);
	else if (name != TCP_CONGESTION || level != IPPROTO_TCP)
		libc.setsockopt(fd, level, name, &off, sizeof(off));
	return err;
}

/* A key for an address of the tailnet: the segments to it are the tunnel's, and
 * would go unsigned. Both structs begin with the address; the kernel has read
 * them. */
static int refuse_key(int fd, int name, const void *value)
{
	struct {
		struct sockaddr_storage addr;
		uint8_t rest[88]; /* of struct tcp_md5sig; no key, no flags */
	} none = {0};
	struct ts_addr peer;

	memcpy(&none.addr, value, sizeof(none.addr));
	if (ts_addr_from_sockaddr((struct sockaddr *)&none.addr,
				  sizeof(none.addr), &peer) ||
	    !shim_claims_ip(&peer.ip))
		return 0;
	if (name == TCP_MD5SIG)
		libc.setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &none,
				sizeof(none));
	return -ENOPROTOOPT;
}

int shim_option_was_set(int fd, int level, int name, const void *value,
			socklen_t len)
{
	if (is_refused(level, name))
		return refuse_or_not(fd, level, name, value, len);
	if (is_carried(level, name))
		return carry(fd);
	if (level == IPPROTO_TCP &&
	    (name == TCP_MD5SIG || name == TCP_MD5SIG_EXT) &&
	    len >= sizeof(struct sockaddr_storage))
		return refuse_key(fd, name, value);
	return 0;
}

/* -- getting ------------------------------------------------------------- */

static void put_int(int number, void *value, socklen_t len)
{
	memcpy(value, &number, len < sizeof(number) ? len : sizeof(number));
}

static void answer_by_tunnel(int fd, int name, const struct ts_flow_key *key,
			     void *value, socklen_t len)
{
	struct ts_tunnel_info tunnel;

	if (shim_ask_tunnel(key, &tunnel) != 0)
		return;
	if (name == TCP_INFO)
		shim_tcp_info_overlay(fd, &tunnel, value, len);
	else
		put_int(tunnel.send_mss, value, len);
}

static void answer_mtu(void *value, socklen_t len)
{
	struct ts_table_info info;

	if (ts_table_read_info(atomic_load(&shim.table), &info) && info.mtu)
		put_int(info.mtu, value, len);
}

void shim_option_was_read(int fd, int level, int name, void *value,
			  socklen_t *len)
{
	struct ts_flow_key key;

	if (!is_answered(level, name) || !find_flow(fd, &key))
		return;
	if (level != IPPROTO_TCP)
		answer_mtu(value, *len);
	else if (name == TCP_CONGESTION)
		memcpy(value, OUR_CC,
		       *len < sizeof(OUR_CC) ? *len : sizeof(OUR_CC));
	else if (name == TCP_CC_INFO)
		*len = 0; /* as reno has none in the kernel, too */
	else
		answer_by_tunnel(fd, name, &key, value, *len);
}
