/* SPDX-License-Identifier: BSD-3-Clause
 * serve_forward.c - a TCP port that is passed on as it is
 *
 * What is behind is called first, while the SYN waits in the stack, so that a
 * backend that is not there is a refusal for the client, too. Then a splice
 * joins both, as it joins a program with the tunnel. A PROXY header goes first,
 * if it is wanted: the client's address, ours of the same family, and the
 * backend's port.
 * Source: ipn/ipnlocal/serve.go (tcpHandlerForServeTCP,
 *   forwardTCPWithProxyProtocol); the PROXY protocol, versions 1 and 2
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/err.h"
#include "core/host/serve_dial.h"
#include "core/host/serve_internal.h"
#include "core/host/tls_server.h"

struct serve_forward {
	struct ts_link link; /* in serve->forwards */
	struct serve_place place;
	struct ts_member *member;
	uint64_t id;
	struct ts_addr remote;
	int proxy_protocol;
	char *tls_name; /* whose certificate is shown; NULL: no TLS here */
	struct serve_dial dial;
	int fd;			/* connected, or -1 */
	struct stack_syn *syn;	/* until it is answered */
	struct stack_tcp *tcp;	/* afterwards */
	int client_fd;		/* in place of both: a program here; or -1 */
	bool is_joined;		/* bytes flow, and it ends by itself */
};

static void free_forward(struct serve_forward *f)
{
	serve_dial_cancel(&f->dial);
	ts_list_remove(&f->link);
	serve_place_leave(f->member->serve, &f->place);
	free(f->tls_name);
	free(f);
}

/* How it came out is the client's business, as far as it can be told. */
static void answer_no(struct stack_syn *syn, int err)
{
	if (err == -ETIMEDOUT)
		stack_syn_drop(syn);
	else
		stack_syn_refuse(syn);
}

static void fail(struct serve_forward *f, int err)
{
	log_debug("serve-%llu: %s: %s", (unsigned long long)f->id,
		  f->dial.target.host, ts_strerror(err));
	if (f->syn)
		answer_no(f->syn, err);
	if (f->tcp)
		stack_tcp_abort(f->tcp);
	ts_sock_reset(f->client_fd);
	ts_sock_reset(f->fd);
	free_forward(f);
}

/* -- the PROXY header ----------------------------------------------------- */

enum { HEADER_MAX = 128 };

static size_t write_v1(char out[static HEADER_MAX], const struct ts_addr *from,
		       const struct ts_addr *to)
{
	char a[TS_IP_TEXT_CAP], b[TS_IP_TEXT_CAP];
	int n = snprintf(out, HEADER_MAX, "PROXY TCP%c %s %s %u %u\r\n",
			 ts_ip_is_v4(&from->ip) ? '4' : '6',
			 ts_ip_format(&from->ip, a), ts_ip_format(&to->ip, b),
			 from->port, to->port);

	return n > 0 ? (size_t)n : 0;
}

static void write_ip(struct ts_writer *w, const struct ts_ip *ip)
{
	size_t len = ts_ip_is_v4(ip) ? 4 : TS_IP_LEN;

	ts_write_bytes(w, ip->bytes + TS_IP_LEN - len, len);
}

static size_t write_v2(char out[static HEADER_MAX], const struct ts_addr *from,
		       const struct ts_addr *to)
{
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
	struct ts_writer w = ts_writer_init(out, HEADER_MAX);
	bool v4 = ts_ip_is_v4(&from->ip);

	ts_write_bytes(&w, signature, 12);
	ts_write_u8(&w, 0x21);		   /* version 2, PROXY */
	ts_write_u8(&w, v4 ? 0x11 : 0x21); /* TCP over IPv4, IPv6 */
	ts_write_be16(&w, v4 ? 12 : 36);
	write_ip(&w, &from->ip);
	write_ip(&w, &to->ip);
	ts_write_be16(&w, from->port);
	ts_write_be16(&w, to->port);
	return w.len;
}

/* 0 or -errno. Into a new socket's buffer it fits. */
static int send_header(const struct serve_forward *f)
{
	bool v6 = !ts_ip_is_v4(&f->remote.ip);
	struct ts_addr to = {.ip = ts_node_ip(f->member->node, v6),
			     .port = f->dial.target.port};
	char header[HEADER_MAX];
	size_t len;

	if (f->proxy_protocol == 0)
		return 0;
	if (f->dial.target.scheme == TS_SERVE_UNIX)
		return -EPROTONOSUPPORT;
	if (ts_ip_is_zero(&to.ip))
		to.ip = ts_sock_loopback(v6);
	len = f->proxy_protocol == 1 ? write_v1(header, &f->remote, &to)
				     : write_v2(header, &f->remote, &to);
	return send(f->fd, header, len, MSG_NOSIGNAL) == (ssize_t)len ? 0
								      : -EPIPE;
}

/* -- steps ---------------------------------------------------------------- */

static void on_ended(void *ctx)
{
	free_forward(ctx);
}

/* What joins them has all from here on, and we keep the place. */
static void join(void *user)
{
	const struct stack_tcp_options options = {.keepalive = true};
	struct serve_forward *f = user;
	struct ts_member *member = f->member;
	const struct ts_tls_wish wish = {.name = f->tls_name};
	const struct ts_relay_end ends[2] = {{.fd = f->client_fd},
					     {.fd = f->fd}};
	struct stack_tcp *tcp = f->tcp;

	f->tcp = NULL;
	f->fd = f->client_fd = -1;
	f->is_joined = true;
	if (tcp)
		stack_tcp_set_options(tcp, &options);
	if (f->tls_name) {
		ts_tls_join(member, tcp, ends[0].fd, &f->remote, &wish,
			    ends[1].fd, NULL, on_ended, f);
	} else if (tcp) {
		ts_splice_forward(member, ends[1].fd, tcp, on_ended, f);
	} else {
		ts_relay_start(member->host, member, ends);
		free_forward(f);
	}
}

/* The splice looks for bytes when it starts. */
static void on_bytes(void *user)
{
	(void)user;
}

static void on_gone(void *user, int err)
{
	struct serve_forward *f = user;

	f->tcp = NULL;
	fail(f, err ? err : -ECONNRESET);
}

static const struct stack_tcp_ops accept_ops = {
	.connected = join,
	.readable = on_bytes,
	.writable = on_bytes,
	.gone = on_gone,
};

static void on_dialled(void *ctx, int err, int fd)
{
	struct serve_forward *f = ctx;
	struct stack_syn *syn = f->syn;

	f->fd = fd;
	if (!err)
		err = send_header(f);
	if (err) {
		fail(f, err);
		return;
	}
	if (f->tcp || f->client_fd >= 0) {
		join(f);
		return;
	}
	f->syn = NULL;
	f->tcp = stack_syn_accept(syn, &accept_ops, f, ts_host_now_ms(f->member->host));
	if (!f->tcp)
		fail(f, -ENOMEM);
}

/* On its way; NULL: there is no way, or too many are on it. */
static struct serve_forward *new_forward(struct ts_member *member,
					 const struct ts_addr *remote,
					 const struct ts_ip *peer,
					 const struct ts_serve_tcp *tcp)
{
	struct ts_serve *serve = member->serve;
	struct ts_serve_target target;
	char text[TS_ADDR_TEXT_CAP];
	struct serve_forward *f;

	if (ts_serve_forward_parse(tcp->forward, &target))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f || !serve_place_take(serve, &f->place, peer, &remote->ip)) {
		free(f);
		return NULL;
	}
	f->member = member;
	f->id = ++member->host->next_id;
	f->remote = *remote;
	f->proxy_protocol = tcp->proxy_protocol;
	f->tls_name = tcp->terminate_tls ? strdup(tcp->terminate_tls) : NULL;
	f->fd = f->client_fd = -1;
	ts_list_insert(&serve->forwards, &f->link);
	log_debug("serve-%llu: connection from %s for %s",
		  (unsigned long long)f->id, ts_addr_format(remote, text),
		  tcp->forward);
	if ((!tcp->terminate_tls || f->tls_name) &&
	    !serve_dial_start(&f->dial, member, &target, on_dialled, f))
		return f;
	free_forward(f);
	return NULL;
}

void serve_forward_syn(struct ts_member *member, struct stack_syn *syn,
		       const struct ts_addr *remote,
		       const struct ts_serve_tcp *tcp)
{
	struct serve_forward *f = new_forward(member, remote, &remote->ip, tcp);

	if (f)
		f->syn = syn;
	else
		stack_syn_refuse(syn);
}

void serve_forward_fd(struct ts_member *member, int fd,
		      const struct ts_addr *remote,
		      const struct ts_serve_tcp *tcp)
{
	struct serve_forward *f = new_forward(member, remote, &remote->ip, tcp);

	if (f)
		f->client_fd = fd;
	else
		ts_sock_reset(fd);
}

void serve_forward_tcp(struct ts_member *member, struct stack_tcp *up,
		       const struct ts_addr *remote, const struct ts_ip *peer,
		       const struct ts_serve_tcp *tcp)
{
	struct serve_forward *f = new_forward(member, remote, peer, tcp);

	if (!f) {
		stack_tcp_abort(up);
		return;
	}
	f->tcp = up;
	stack_tcp_set_user(up, &accept_ops, f);
}

bool serve_forward_syn_gone(struct ts_member *member, const struct stack_syn *syn)
{
	struct ts_link *head = &member->serve->forwards;

	for (struct ts_link *at = head->next; at != head; at = at->next) {
		struct serve_forward *f =
			TS_LINK_OWNER(at, struct serve_forward, link);

		if (f->syn != syn)
			continue;
		f->syn = NULL;
		fail(f, -ETIMEDOUT);
		return true;
	}
	return false;
}

void serve_forwards_end(struct ts_member *member)
{
	struct ts_link *head = &member->serve->forwards, *next;

	for (struct ts_link *at = head->next; at != head; at = next) {
		struct serve_forward *f =
			TS_LINK_OWNER(at, struct serve_forward, link);

		next = at->next;
		if (!f->is_joined)
			fail(f, -ENETDOWN);
	}
}
