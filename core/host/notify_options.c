/* SPDX-License-Identifier: BSD-3-Clause
 * notify_options.c - options of programs that cannot be preloaded
 *
 * By the rules of core/broker/option_rule.c, as shim/socket_options.c; the
 * filter shows only the options that have one. What does not concern a
 * connection to the tailnet, and what the kernel would refuse by itself, goes
 * on. An option that is carried is set by us, with the value that was read
 * once, since the tunnel's connection gets it at the same time.
 *
 * A new error that a socket keeps (SO_ERROR) is told once, by us or by the
 * kernel: what we have taken we also deliver.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "core/broker/option_rule.h"
#include "core/broker/rendezvous_rule.h"
#include "core/broker/tcp_info.h"
#include "core/host/notify.h"

#ifndef TCP_CC_INFO
#define TCP_CC_INFO 26
#endif

struct option {
	const struct notify_call *call;
	struct ts_host *host;
	int fd, level, name; /* fd -1: a connection that is not ours any more */
};

/* -- whose is it? --------------------------------------------------------- */

static bool find_flow(const struct option *o, struct ts_broker_request *req)
{
	struct ts_flow_entry entry;

	int domain;

	*req = (struct ts_broker_request){.proto = IPPROTO_TCP};
	if (o->fd < 0)
		return ts_notify_made_ends(o->call, (int)o->call->args[0],
					   &req->native_local,
					   &req->native_remote, &domain) &&
		       ts_notify_flow_find(o->host, &req->native_local,
					   &req->native_remote, &entry);
	return ts_notify_is_tcp(o->fd) &&
	       ts_sock_peer(o->fd, &req->native_remote) == 0 &&
	       ts_ip_is_loopback(&req->native_remote.ip) &&
	       ts_sock_local(o->fd, &req->native_local) == 0 &&
	       ts_notify_flow_find(o->host, &req->native_local,
				   &req->native_remote, &entry);
}

/* -- getting -------------------------------------------------------------- */

/* As the kernel writes a value: cut to *len, *len what was written. */
static int write_value(const struct notify_call *call, const void *value,
		       size_t len)
{
	int32_t cap;
	int err = ts_notify_write_cut(call, call->args[3], call->args[4], value,
				      len, &cap);

	return err ? err : ts_notify_write(call, call->args[4], &cap,
					   sizeof(cap));
}

static bool has_failed(const struct ts_host *host, int fd)
{
	struct ts_flow_entry entry;
	struct ts_addr local;

	return ts_sock_local(fd, &local) == 0 && local.port != 0 &&
	       ts_rendezvous_find(ts_table_layout(host->table), &local, true,
				  &entry);
}

static int tell_error(const struct option *o)
{
	int err;

	if (!has_failed(o->host, o->fd))
		return NOTIFY_CONTINUE;
	err = -ts_notify_flow_error(o->host, o->fd,
				    ts_notify_take_error(o->fd));
	return write_value(o->call, &err, sizeof(err));
}

static int tell_info(const struct option *o,
		     const struct ts_tunnel_info *tunnel)
{
	struct ts_tcp_info info = {.state = TCP_ESTABLISHED};
	socklen_t len = o->fd < 0 ? offsetof(struct ts_tcp_info, newer)
				  : sizeof(info);

	if (o->fd >= 0 &&
	    getsockopt(o->fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return NOTIFY_CONTINUE;
	ts_tcp_info_overlay(tunnel, &info);
	return write_value(o->call, &info, len);
}

static int tell_tunnel(const struct option *o,
		       const struct ts_broker_request *req)
{
	struct ts_broker_reply rep = {.type = TS_BROKER_INFO};
	char cc[TS_CC_NAME_CAP] = "";
	int mss;

	ts_tunnel_info(o->host, req, &rep);
	if (rep.error)
		return NOTIFY_CONTINUE;
	if (o->name == TCP_INFO)
		return tell_info(o, &rep.tunnel);
	if (o->name == TCP_CONGESTION) {
		strcpy(cc, ts_option_cc_name(rep.tunnel.congestion));
		return write_value(o->call, cc, sizeof(cc));
	}
	mss = rep.tunnel.send_mss;
	return write_value(o->call, &mss, sizeof(mss));
}

static int tell_mtu(const struct option *o)
{
	int mtu = o->host->info.mtu;
	int native = o->fd < 0 ? mtu
			       : ts_notify_option(o->fd, o->level, o->name);

	if (native < 0 || mtu == 0 || mtu > native)
		return NOTIFY_CONTINUE;
	return write_value(o->call, &mtu, sizeof(mtu));
}

static bool is_datagrams_to_tailnet(const struct option *o)
{
	struct ts_flow_entry entry;
	struct ts_addr peer;

	return ts_notify_is_udp(o->fd) && ts_sock_peer(o->fd, &peer) == 0 &&
	       ts_notify_way_back(o->host, &peer, &entry);
}

static int tell(const struct option *o)
{
	struct ts_broker_request req;
	bool has_flow = find_flow(o, &req);

	if (o->level != IPPROTO_TCP)
		return has_flow || is_datagrams_to_tailnet(o)
			       ? tell_mtu(o)
			       : NOTIFY_CONTINUE;
	if (!has_flow)
		return NOTIFY_CONTINUE;
	if (o->name == TCP_CC_INFO) /* cubic has none in the kernel, too */
		return write_value(o->call, "", 0);
	return tell_tunnel(o, &req);
}

static int tell_defer(const struct option *o)
{
	int seconds = ts_notify_deferred(o->host, o->fd);

	return seconds ? write_value(o->call, &seconds, sizeof(seconds))
		       : NOTIFY_CONTINUE;
}

/* -- setting -------------------------------------------------------------- */

/* What is shorter is not a value to the kernel, either. */
static size_t least_len(const struct option *o)
{
	if (o->level == IPPROTO_IP)
		return o->name == IP_OPTIONS ? 0 : 1;
	return o->name == TCP_CONGESTION && o->level == IPPROTO_TCP
		       ? 1
		       : sizeof(int);
}

static int set_native(const struct option *o, const void *value, size_t len)
{
	return setsockopt(o->fd, o->level, o->name, value, (socklen_t)len)
		       ? -errno
		       : 0;
}

/* A connection that is over has nothing to be told. */
static int carry(const struct option *o, const void *value, size_t len)
{
	struct ts_broker_reply rep = {.type = TS_BROKER_OPTIONS};
	struct ts_broker_request req;
	int err;

	if (o->fd < 0 || !find_flow(o, &req))
		return NOTIFY_CONTINUE;
	err = set_native(o, value, len);
	if (!err)
		ts_tunnel_options(o->host, &req, o->fd, &rep);
	return err;
}

static int refuse(const struct option *o, const void *value, size_t len)
{
	struct ts_broker_request req;
	int err;

	if (!find_flow(o, &req))
		return NOTIFY_CONTINUE;
	err = ts_option_judge(o->level, o->name, value, len);
	return err ? err : NOTIFY_CONTINUE;
}

/* The tunnel's; the kernel then says what it thinks of it for its own part: who
 * may have which is its business, and we may have more than the program. */
static int set_congestion(const struct option *o, const void *value,
			  size_t len)
{
	struct ts_broker_request req;
	int cc = ts_option_cc_find(value, len);

	if (cc >= 0 && o->fd >= 0)
		ts_tunnel_mark_congestion(o->fd, (enum ts_cc)cc);
	if (!find_flow(o, &req))
		return NOTIFY_CONTINUE;
	if (cc < 0)
		return cc;
	ts_tunnel_set_congestion(o->host, &req, (enum ts_cc)cc);
	return NOTIFY_CONTINUE;
}

static int refuse_key(const struct option *o, const void *value, size_t len)
{
	struct ts_addr peer;

	return ts_option_key_addr(value, len, &peer) &&
			       ts_notify_claims(o->host, &peer)
		       ? -ENOPROTOOPT
		       : NOTIFY_CONTINUE;
}

/* Of a listener: others keep it until they listen. */
static int set_defer(const struct option *o, const void *value, size_t len)
{
	int err;

	if (!ts_notify_is_tcp(o->fd) || ts_sock_state(o->fd) != TCP_LISTEN)
		return NOTIFY_CONTINUE;
	err = set_native(o, value, len);
	if (!err)
		ts_notify_defer(o->host, o->fd);
	return err;
}

static int set(const struct option *o)
{
	unsigned rules = ts_option_rule(o->level, o->name);
	uint8_t value[sizeof(struct sockaddr_storage)];
	int32_t whole = (int32_t)o->call->args[4];
	size_t len = sizeof(value);

	if (whole < 0 || (size_t)whole < least_len(o))
		return NOTIFY_CONTINUE;
	if ((size_t)whole < len)
		len = (size_t)whole;
	if (ts_notify_read(o->call, o->call->args[3], value, len))
		return NOTIFY_CONTINUE;
	if (o->level == IPPROTO_TCP && o->name == TCP_DEFER_ACCEPT)
		return set_defer(o, value, len);
	if (o->level == IPPROTO_TCP && o->name == TCP_CONGESTION)
		return set_congestion(o, value, len);
	if (rules & TS_OPTION_REFUSED)
		return refuse(o, value, len);
	if (rules & TS_OPTION_KEYED)
		return refuse_key(o, value, len);
	return rules & TS_OPTION_CARRIED ? carry(o, value, len)
					 : NOTIFY_CONTINUE;
}

/* -- the calls ------------------------------------------------------------ */

static int with_option(const struct notify_call *call,
		       int (*fn)(const struct option *o))
{
	struct option o = {.call = call, .host = call->tree->host,
			   .level = (int)call->args[1],
			   .name = (int)call->args[2]};
	int result;

	o.fd = ts_notify_fetch(call, (int)call->args[0]);
	if (o.fd == -EISCONN)
		o.fd = -1;
	else if (o.fd < 0)
		return NOTIFY_CONTINUE;
	result = fn(&o);
	ts_hurry_drop(o.fd);
	return result;
}

static int get(const struct option *o)
{
	if (o->level == SOL_SOCKET && o->name == SO_ERROR)
		return tell_error(o);
	if (o->level == IPPROTO_TCP && o->name == TCP_DEFER_ACCEPT)
		return tell_defer(o);
	return ts_option_rule(o->level, o->name) & TS_OPTION_ANSWERED
		       ? tell(o)
		       : NOTIFY_CONTINUE;
}

int ts_notify_getsockopt(const struct notify_call *call)
{
	return with_option(call, get);
}

int ts_notify_setsockopt(const struct notify_call *call)
{
	return with_option(call, set);
}
