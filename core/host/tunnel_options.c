/* SPDX-License-Identifier: BSD-3-Clause
 * tunnel_options.c - socket options that reach through the tunnel, and INFO
 *
 * The program's socket is where its options are kept; nothing of them is in any
 * message. CONNECT, ACCEPTED and OPTIONS bring a duplicate of it, and what
 * concerns the tunnel is read from there: so options that were set before the
 * connect, inherited from a listener, set by another process that has the
 * socket, or in force since before we could know, are all the same. They wait
 * in the flow's entry until the tunnel's connection is there.
 *
 * A congestion control is read there, too, where the program chose it: that is
 * what the mark is for (core/broker/option_rule.h).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "core/broker/option_rule.h"
#include "core/host/host_internal.h"
#include "netstack/stack.h"

enum {
	MS_PER_S = 1000,
	TTL_MAX = 255,
	/* Half of what systems start with. */
	SMALL_BUFFER_BYTES = 64 * 1024,
	LEAST_BUFFER_BYTES = 8 * 1024,
};

/* An option's value, 0 where it cannot be had. */
static uint32_t option_of(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) != 0 || value < 0)
		return 0;
	return (uint32_t)value;
}

static uint32_t seconds_of(int fd, int name)
{
	uint32_t s = option_of(fd, IPPROTO_TCP, name);

	return s > UINT32_MAX / MS_PER_S ? 0 : s * MS_PER_S;
}

/* How often and how long, where the program wants it at all. */
static void read_keepalive(int fd, struct stack_tcp_options *out)
{
	out->keepalive = option_of(fd, SOL_SOCKET, SO_KEEPALIVE);
	if (!out->keepalive)
		return;
	out->keep_idle_ms = seconds_of(fd, TCP_KEEPIDLE);
	out->keep_interval_ms = seconds_of(fd, TCP_KEEPINTVL);
	out->keep_count = option_of(fd, IPPROTO_TCP, TCP_KEEPCNT);
}

static void read_header(int fd, struct stack_tcp_options *out)
{
	bool v6 = option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
	uint32_t class4 = option_of(fd, IPPROTO_IP, IP_TOS);
	uint32_t class6 =
		v6 ? option_of(fd, IPPROTO_IPV6, IPV6_TCLASS) : 0;
	uint32_t ttl = v6 ? option_of(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS)
			  : option_of(fd, IPPROTO_IP, IP_TTL);

	/* A v4-mapped socket has both; who set one meant it. */
	out->traffic_class = (uint8_t)(class6 ? class6 : class4);
	out->ttl = ttl <= TTL_MAX ? (uint8_t)ttl : 0;
}

static void read_options(int fd, struct stack_tcp_options *out)
{
	uint32_t mss = option_of(fd, IPPROTO_TCP, TCP_MAXSEG);

	*out = (struct stack_tcp_options){
		.user_timeout_ms =
			option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
		/* Of a connected socket: loopback's is far above ours, so a
		 * small one was asked for. */
		.mss = (uint16_t)(mss < UINT16_MAX ? mss : 0),
	};
	read_keepalive(fd, out);
	read_header(fd, out);
}

/* NULL: it is what the kernel starts with, or none of the tunnel's. */
static const char *choice_of(int fd)
{
	char name[TS_CC_NAME_CAP];
	socklen_t len = sizeof(name);
	int cc;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) != 0)
		return NULL;
	cc = ts_option_cc_find(name, len);
	if (cc < 0 ||
	    !option_of(fd, SOL_SOCKET, ts_option_cc_mark((enum ts_cc)cc)))
		return NULL;
	return ts_option_cc_name((unsigned)cc);
}

void ts_tunnel_mark_congestion(int fd, enum ts_cc cc)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, ts_option_cc_mark(cc), &on,
			 sizeof(on));
}

/* A program that asked for a small receive buffer wants to hold its sender
 * back, and wants it to know soon when nobody reads any more. Ours, which lie
 * between them, must not undo that. 0: it is not small. */
static int small_buffer_of(int fd)
{
	int bytes = (int)option_of(fd, SOL_SOCKET, SO_RCVBUF);

	if (bytes == 0 || bytes >= SMALL_BUFFER_BYTES)
		return 0;
	return bytes > LEAST_BUFFER_BYTES ? bytes : LEAST_BUFFER_BYTES;
}

void ts_tunnel_bound_buffers(const struct ts_entry *entry, int fd, int from_fd)
{
	if (!entry || !entry->receive_bytes)
		return;
	ts_sock_buffer(fd, SO_SNDBUF, entry->receive_bytes);
	ts_sock_buffer(from_fd, SO_RCVBUF, entry->receive_bytes);
}

static void apply(struct ts_entry *entry)
{
	struct stack_tcp_options options = entry->options;

	if (!entry->tcp)
		return;
	/* The splice looks for a peer that never ends its side. */
	options.keepalive |= entry->is_half_closed;
	stack_tcp_set_options(entry->tcp, &options);
	if (entry->congestion)
		stack_tcp_set_congestion(entry->tcp, entry->congestion);
}

void ts_tunnel_read_options(struct ts_entry *entry, int fd)
{
	if (!entry || fd < 0)
		return;
	read_options(fd, &entry->options);
	entry->congestion = choice_of(fd);
	entry->receive_bytes = small_buffer_of(fd);
	apply(entry);
}

void ts_tunnel_attach(struct ts_entry *entry, struct stack_tcp *tcp)
{
	if (!entry)
		return;
	entry->tcp = tcp;
	apply(entry);
}

void ts_tunnel_half_closed(struct ts_entry *entry)
{
	if (!entry)
		return;
	entry->is_half_closed = true;
	apply(entry);
}

static struct ts_entry *entry_of(struct ts_host *host,
				 const struct ts_broker_request *req)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP,
				  .local = req->native_local,
				  .remote = req->native_remote};
	struct ts_entry *entry = ts_entry_find(host, &key);

	return entry && (entry->value.kind == TS_FLOW_CONNECT ||
			 entry->value.kind == TS_FLOW_ACCEPT)
		       ? entry
		       : NULL;
}

void ts_tunnel_set_congestion(struct ts_host *host,
			      const struct ts_broker_request *req,
			      enum ts_cc cc)
{
	struct ts_entry *entry = entry_of(host, req);

	if (!entry)
		return;
	entry->congestion = ts_option_cc_name(cc);
	apply(entry);
}

void ts_tunnel_options(struct ts_host *host,
		       const struct ts_broker_request *req, int fd,
		       struct ts_broker_reply *rep)
{
	struct ts_entry *entry = entry_of(host, req);

	if (entry && fd < 0) /* it did not fit into our table of descriptors */
		rep->error = ENOBUFS;
	else if (!entry || !ts_request_is_of(host, &entry->key, fd))
		rep->error = ENOENT;
	else
		ts_tunnel_read_options(entry, fd);
}

static uint8_t congestion_of(const struct stack_tcp *tcp)
{
	const char *name = stack_tcp_congestion(tcp);
	int cc = ts_option_cc_find(name, strlen(name));

	return cc < 0 ? 0 : (uint8_t)cc;
}

void ts_tunnel_info(struct ts_host *host, const struct ts_broker_request *req,
		    struct ts_broker_reply *rep)
{
	struct ts_entry *entry = entry_of(host, req);
	struct stack_tcp_info i;

	if (!entry || !entry->tcp || stack_tcp_info(entry->tcp, &i)) {
		rep->error = ENOTCONN;
		return;
	}
	rep->tunnel = (struct ts_tunnel_info){
		.state = i.state,
		.is_recovering = i.is_recovering,
		.retransmits = i.retransmits,
		.probes = i.probes,
		.backoff = i.backoff,
		.has_sack = i.has_sack,
		.has_scale = i.has_scale,
		.send_scale = i.send_scale,
		.receive_scale = i.receive_scale,
		.mtu = i.mtu,
		.send_mss = i.send_mss,
		.advertised_mss = i.advertised_mss,
		.rto_us = i.rto_us,
		.rtt_us = i.rtt_us,
		.rtt_var_us = i.rtt_var_us,
		.min_rtt_us = i.min_rtt_us,
		.cwnd = i.cwnd,
		.ssthresh = i.ssthresh,
		.unacked = i.unacked,
		.lost = i.lost,
		.total_retransmits = i.total_retransmits,
		.unsent_bytes = i.unsent_bytes,
		.send_window = i.send_window,
		.receive_window = i.receive_window,
		.bytes_acked = i.bytes_acked,
		.bytes_received = i.bytes_received,
		.sacked = i.sacked,
		.pacing_rate = i.pacing_rate,
		.delivery_rate = i.delivery_rate,
		.congestion = congestion_of(entry->tcp),
	};
}
