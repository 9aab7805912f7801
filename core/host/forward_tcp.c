/* SPDX-License-Identifier: BSD-3-Clause
 * forward_tcp.c - connections of peers to hosts behind us
 *
 * A SYN waits in the stack, unanswered, while we connect to where it is meant
 * for, from this machine. Only when that host has answered does the peer get an
 * answer, and the same one: refused is a reset, unreachable is an ICMP error,
 * silence is silence. Once both ends are up a splice joins them, as it joins a
 * program with the tunnel.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/host/forward.h"

struct forward_dial {
	struct ts_link link; /* in forwards->dials */
	struct ts_member *member;
	struct forward_share *share;
	uint64_t id;
	int fd;
	struct ts_watch *watch; /* until fd is connected */
	struct stack_syn *syn;	/* until it is answered */
	struct stack_tcp *tcp;	/* afterwards */
};

/* What outlives the dial: whose connection the splice is. */
struct forwarded {
	struct ts_member *member;
	struct forward_share *share;
};

/* Its parts are somebody else's now, or gone. */
static void free_dial(struct forward_dial *d)
{
	ts_list_remove(&d->link);
	ts_watch_free(d->watch);
	free(d);
}

static void answer_no(struct stack_syn *syn, int err)
{
	switch (err) {
	case -ECONNREFUSED:
	case -ECONNRESET:
		stack_syn_refuse(syn);
		break;
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
		stack_syn_unreachable(syn, -EHOSTUNREACH);
		break;
	case -ENETUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL: /* no address of that version */
		stack_syn_unreachable(syn, -ENETUNREACH);
		break;
	case -EACCES:
	case -EPERM:
		stack_syn_unreachable(syn, -EACCES);
		break;
	default: /* out of something, or nobody answers: nor do we */
		stack_syn_drop(syn);
		break;
	}
}

static void fail(struct forward_dial *d, int err)
{
	log_debug("forward-%llu: %s", (unsigned long long)d->id,
		  ts_strerror(err));
	if (d->syn)
		answer_no(d->syn, err);
	if (d->tcp)
		stack_tcp_abort(d->tcp);
	ts_watch_free(d->watch);
	d->watch = NULL;
	ts_sock_reset(d->fd);
	ts_forward_give_tcp(d->member, d->share);
	free_dial(d);
}

static void on_splice_ended(void *ctx)
{
	struct forwarded *over = ctx;

	ts_forward_give_tcp(over->member, over->share);
	free(over);
}

static void on_connected(void *user)
{
	const struct stack_tcp_options options = {.keepalive = true};
	struct forward_dial *d = user;
	struct forwarded *forwarded = malloc(sizeof(*forwarded));
	struct ts_member *member = d->member;
	struct stack_tcp *tcp = d->tcp;
	int fd = d->fd;

	if (!forwarded) {
		fail(d, -ENOMEM);
		return;
	}
	*forwarded = (struct forwarded){member, d->share};
	free_dial(d);
	stack_tcp_set_options(tcp, &options);
	ts_splice_forward(member, fd, tcp, on_splice_ended, forwarded);
}

/* The splice looks for bytes when it starts. */
static void on_bytes(void *user)
{
	(void)user;
}

static void on_gone(void *user, int err)
{
	struct forward_dial *d = user;

	d->tcp = NULL;
	fail(d, err ? err : -ECONNRESET);
}

static const struct stack_tcp_ops accept_ops = {
	.connected = on_connected,
	.readable = on_bytes,
	.writable = on_bytes,
	.gone = on_gone,
};

static void on_native(void *ctx, unsigned events)
{
	struct forward_dial *d = ctx;
	struct stack_syn *syn = d->syn;
	int err = ts_sock_error(d->fd);

	(void)events;
	ts_watch_free(d->watch);
	d->watch = NULL;
	if (err) {
		fail(d, err);
		return;
	}
	d->syn = NULL;
	d->tcp = stack_syn_accept(syn, &accept_ops, d,
				  ts_host_now_ms(d->member->host));
	if (!d->tcp)
		fail(d, -ENOMEM);
}

static int connect_native(struct forward_dial *d, const struct ts_addr *to)
{
	int err;

	d->fd = ts_forward_socket(d->member, &to->ip, SOCK_STREAM, 0);
	if (d->fd < 0) {
		err = d->fd;
		d->fd = -1;
		return err;
	}
	err = ts_sock_connect(d->fd, to);
	if (err)
		return err;
	d->watch = ts_watch_new(d->member->host->loop, d->fd, TS_WRITABLE,
				on_native, d);
	return d->watch ? 0 : -ENOMEM;
}

/* syn is answered by d from here. NULL: it was dropped. */
static struct forward_dial *new_dial(struct ts_member *member,
				     struct stack_syn *syn,
				     const struct ts_addr *remote)
{
	struct forward_share *share = ts_forward_take_tcp(member, &remote->ip);
	struct forward_dial *d = share ? calloc(1, sizeof(*d)) : NULL;

	if (!d) {
		if (share)
			ts_forward_give_tcp(member, share);
		stack_syn_drop(syn);
		return NULL;
	}
	d->member = member;
	d->share = share;
	d->id = ++member->host->next_id;
	d->fd = -1;
	d->syn = syn;
	ts_list_insert(&member->forwards->dials, &d->link);
	return d;
}

void ts_forward_syn(struct ts_member *member, struct stack_syn *syn,
		    const struct ts_addr *local, const struct ts_addr *remote)
{
	struct ts_addr to = {.port = local->port};
	char from_text[TS_ADDR_TEXT_CAP], to_text[TS_ADDR_TEXT_CAP];
	struct forward_dial *d;
	int err = ts_node_forward_target(member->node, &local->ip, &to.ip);

	if (err) {
		stack_syn_unreachable(syn, -EACCES);
		return;
	}
	d = new_dial(member, syn, remote);
	if (!d)
		return;
	log_debug("forward-%llu: connection from %s to %s",
		  (unsigned long long)d->id, ts_addr_format(remote, from_text),
		  ts_addr_format(&to, to_text));
	err = connect_native(d, &to);
	if (err)
		fail(d, err);
}

bool ts_forward_syn_gone(struct ts_member *member, const struct stack_syn *syn)
{
	struct ts_link *head = &member->forwards->dials;

	for (struct ts_link *at = head->next; at != head; at = at->next) {
		struct forward_dial *d =
			TS_LINK_OWNER(at, struct forward_dial, link);

		if (d->syn != syn)
			continue;
		d->syn = NULL;
		fail(d, -ETIMEDOUT);
		return true;
	}
	return false;
}

void ts_forward_tcp_stop(struct ts_member *member)
{
	struct ts_link *head = &member->forwards->dials;

	while (!ts_list_is_empty(head))
		fail(TS_LINK_OWNER(head->next, struct forward_dial, link),
		     -ENETDOWN);
}
