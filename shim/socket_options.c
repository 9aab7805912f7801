/* SPDX-License-Identifier: BSD-3-Clause
 * socket_options.c - what an option means on a connection to the tailnet
 *
 * The rules are in core/broker/option_rule.c.
 *
 * The kernel is always asked first, so that a bad pointer, a bad length and a
 * bad descriptor get its own answer, and what it wrote to may be written to.
 * An option that must be refused is undone where it had an effect. A choice of
 * a congestion control is marked on the socket, whatever it will be used for.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/broker/option_rule.h"
#include "core/broker/tcp_info.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

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

/* -- setting -------------------------------------------------------------- */

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

static int refuse_or_not(int fd, int level, int name, const void *value,
			 socklen_t len)
{
	const int off = 0;
	struct ts_flow_key key;
	int err = find_flow(fd, &key)
			  ? ts_option_judge(level, name, value, len)
			  : 0;

	if (!err)
		return 0;
	if (level == IPPROTO_IP && name == IP_OPTIONS)
		libc.setsockopt(fd, level, name, NULL, 0);
	else
		libc.setsockopt(fd, level, name, &off, sizeof(off));
	return err;
}

static int set_congestion(int fd, const void *value, socklen_t len)
{
	const int on = 1;
	struct ts_flow_key key;
	int cc = ts_option_cc_find(value, len);

	if (cc < 0)
		return find_flow(fd, &key) ? cc : 0;
	libc.setsockopt(fd, SOL_SOCKET, ts_option_cc_mark((enum ts_cc)cc), &on,
			sizeof(on));
	return carry(fd);
}

/* The segments to the tailnet are the tunnel's, and would go unsigned. */
static int refuse_key(int fd, int name, const void *value, socklen_t len)
{
	struct {
		struct sockaddr_storage addr;
		uint8_t rest[88]; /* of struct tcp_md5sig; no key, no flags */
	} none = {0};
	struct ts_addr peer;

	if (!ts_option_key_addr(value, len, &peer) || !shim_claims_ip(&peer.ip))
		return 0;
	memcpy(&none.addr, value, sizeof(none.addr));
	if (name == TCP_MD5SIG)
		libc.setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &none,
				sizeof(none));
	return -ENOPROTOOPT;
}

int shim_option_was_set(int fd, int level, int name, const void *value,
			socklen_t len)
{
	unsigned rules = ts_option_rule(level, name);

	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(fd, value, len);
	if (rules & TS_OPTION_REFUSED)
		return refuse_or_not(fd, level, name, value, len);
	if (rules & TS_OPTION_CARRIED)
		return carry(fd);
	return rules & TS_OPTION_KEYED ? refuse_key(fd, name, value, len) : 0;
}

/* -- getting -------------------------------------------------------------- */

static void put_int(int number, void *value, socklen_t len)
{
	memcpy(value, &number, len < sizeof(number) ? len : sizeof(number));
}

static void answer_info(int fd, const struct ts_tunnel_info *tunnel,
			void *value, socklen_t len)
{
	struct ts_tcp_info info = {0};
	socklen_t whole = sizeof(info);

	if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &whole) != 0)
		return;
	ts_tcp_info_overlay(tunnel, &info);
	memcpy(value, &info, len < sizeof(info) ? len : sizeof(info));
}

static void answer_by_tunnel(int fd, int name, const struct ts_flow_key *key,
			     void *value, socklen_t len)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_INFO,
		.proto = IPPROTO_TCP,
		.native_local = key->local,
		.native_remote = key->remote,
	};
	struct ts_broker_reply rep;
	const char *cc;

	if (shim_ask_for(&req, -1, &rep) != 0)
		return;
	cc = ts_option_cc_name(rep.tunnel.congestion);
	if (name == TCP_INFO)
		answer_info(fd, &rep.tunnel, value, len);
	else if (name == TCP_CONGESTION && cc)
		memcpy(value, cc, len < TS_CC_NAME_CAP ? len : TS_CC_NAME_CAP);
	else if (name == TCP_MAXSEG)
		put_int(rep.tunnel.send_mss, value, len);
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

	if (!(ts_option_rule(level, name) & TS_OPTION_ANSWERED) ||
	    !find_flow(fd, &key))
		return;
	if (level != IPPROTO_TCP)
		answer_mtu(value, *len);
	else if (name == TCP_CC_INFO)
		*len = 0; /* as cubic has none in the kernel, too */
	else
		answer_by_tunnel(fd, name, &key, value, *len);
}
