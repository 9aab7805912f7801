/* SPDX-License-Identifier: BSD-3-Clause
 * dns_try.c - one query to one resolver, by one way
 * Source: RFC 5452 (answers that are forged), RFC 8484 (DNS over HTTPS)
 *
 * Where the resolver is decides the way: behind a peer, inside the tunnel; the
 * host's network otherwise; a program of ours, by the address where it listens
 * natively, or as another program of ours would call it. HTTPS is the engine's
 * business, which has a client for it.
 *
 * Every try has a socket (or a port of the stack) of its own, so its source
 * port is a random choice and only the server's datagrams arrive there; the
 * query gets a random ID for the way, and an answer must repeat ID and
 * question. Whatever does not is ignored, and the try goes on.
 */
#include "core/host/dns_try_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"

enum { HTTP_OK = 200 };

/* -- what comes ----------------------------------------------------------- */

bool ts_dns_try_take(struct ts_dns_try *t, uint8_t *msg, size_t len)
{
	enum ts_dns_verdict verdict =
		ts_dns_judge(ts_dns_try_query(t), t->question_len, msg, len);

	if (verdict == DNS_ANSWER_FOREIGN)
		return false;
	t->fn(t, t->ctx, verdict, msg, len);
	return true;
}

bool ts_dns_try_take_stream(struct ts_dns_try *t)
{
	uint8_t *msg = (uint8_t *)(uintptr_t)ts_byte_queue_data(&t->in);
	struct ts_reader r = ts_reader_init(msg, ts_byte_queue_len(&t->in));
	size_t len = ts_read_be16(&r);

	if (r.bad || r.left < len)
		return false;
	/* One query, one answer: what is not that has no meaning. */
	if (!ts_dns_try_take(t, msg + DNS_PREFIX_LEN, len))
		ts_dns_try_fail(t);
	return true;
}

void ts_dns_try_fail(struct ts_dns_try *t)
{
	t->fn(t, t->ctx, DNS_ANSWER_FOREIGN, NULL, 0);
}

/* -- by HTTPS ------------------------------------------------------------- */

static void on_https(void *ctx, int status, const uint8_t *body, size_t len)
{
	struct ts_dns_try *t = ctx;
	uint8_t *msg = NULL;

	t->https = NULL;
	if (status == HTTP_OK && len <= DNS_MESSAGE_MAX)
		msg = malloc(len + 1);
	if (msg)
		memcpy(msg, body, len);
	if (!msg || !ts_dns_try_take(t, msg, len))
		ts_dns_try_fail(t);
	free(msg);
}

static int by_https(struct ts_dns_try *t, const struct ts_dns_upstream *up)
{
	const struct ts_doh_ops *ops = t->host->doh;

	if (!ops)
		return -EOPNOTSUPP;
	t->https = ops->start(t->member->doh_ctx, up->text, up->ips,
			      up->ip_count, ts_dns_try_query(t), t->len,
			      on_https, t);
	return t->https ? 0 : -ENOMEM;
}

/* -- to an address -------------------------------------------------------- */

/* A program of our own node's. */
static int by_program(struct ts_dns_try *t)
{
	const struct ts_listener *l;

	if (t->way == TS_DNS_BY_TCP)
		return ts_dns_try_by_call(t);
	l = ts_listener_for(t->member, IPPROTO_UDP, &t->to);
	if (!l || t->way != TS_DNS_BY_UDP)
		return -ECONNREFUSED;
	t->to = l->native;
	if (ts_ip_is_unspecified(&t->to.ip))
		t->to.ip = ts_sock_loopback(!ts_ip_is_v4(&t->to.ip));
	return ts_dns_try_by_socket(t, 0);
}

static int by_address(struct ts_dns_try *t, const struct ts_dns_upstream *up)
{
	const char *url = t->way == TS_DNS_BY_HTTP ? up->text : NULL;

	t->to = up->addr;
	switch (ts_node_route(t->member->node, &t->to.ip, NULL)) {
	case TS_ROUTE_PEER:
		return ts_dns_try_by_tunnel(t, url);
	case TS_ROUTE_SELF:
		return by_program(t);
	case TS_ROUTE_SERVICE: /* that is us: a circle */
	case TS_ROUTE_NONE:
		return -EHOSTUNREACH;
	case TS_ROUTE_HOST:
		break;
	}
	if (url) /* plain HTTP is for the tunnel alone */
		return -EHOSTUNREACH;
	return ts_dns_try_by_socket(t, up->scope);
}

/* -- life ----------------------------------------------------------------- */

static int write_query(struct ts_dns_try *t, const uint8_t *query, size_t len)
{
	struct ts_dns_query parsed;
	struct ts_writer w;

	if (len < DNS_HEADER_LEN || len > DNS_MESSAGE_MAX ||
	    ts_dns_read_query(query, len, &parsed) == -EBADMSG)
		return -EBADMSG;
	t->bytes = malloc(DNS_PREFIX_LEN + len);
	if (!t->bytes)
		return -ENOMEM;
	memcpy(t->bytes + DNS_PREFIX_LEN, query, len);
	t->len = len;
	if (parsed.has_question)
		t->question_len = parsed.question_len;
	w = ts_writer_init(t->bytes, DNS_PREFIX_LEN + len);
	ts_write_be16(&w, (uint16_t)len);
	ts_write_be16(&w, (uint16_t)ts_random_u32());
	return 0;
}

/* A fragment may be another's: ask for no more than fits into one answer of
 * ours. */
static void bound_answer(struct ts_dns_try *t)
{
	uint8_t *query = t->bytes + DNS_PREFIX_LEN;
	struct ts_dns_query parsed;
	struct ts_writer w;

	if (ts_dns_read_query(query, t->len, &parsed) ||
	    parsed.udp_size_at == 0 || parsed.udp_size <= DNS_EDNS_MAX)
		return;
	w = ts_writer_init(query + parsed.udp_size_at, 2);
	ts_write_be16(&w, DNS_EDNS_MAX);
}

struct ts_dns_try *ts_dns_try_start(struct ts_member *member,
				    const struct ts_dns_upstream *up,
				    enum ts_dns_way way, const uint8_t *query,
				    size_t len, ts_dns_try_fn fn, void *ctx)
{
	struct ts_dns_try *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return NULL;
	*t = (struct ts_dns_try){.host = member->host,
				 .member = member,
				 .fn = fn,
				 .ctx = ctx,
				 .way = way,
				 .fd = -1};
	ts_byte_queue_init(&t->in, way == TS_DNS_BY_HTTP
					   ? DNS_HTTP_MAX
					   : DNS_PREFIX_LEN + DNS_MESSAGE_MAX);
	err = write_query(t, query, len);
	if (!err && way == TS_DNS_BY_UDP)
		bound_answer(t);
	if (!err && up->kind == TS_DNS_HTTPS)
		err = by_https(t, up);
	else if (!err)
		err = by_address(t, up);
	if (!err)
		return t;
	ts_dns_try_free(t);
	return NULL;
}

void ts_dns_try_free(struct ts_dns_try *t)
{
	if (!t)
		return;
	ts_dns_try_socket_close(t);
	ts_dns_try_tunnel_close(t);
	if (t->https)
		t->host->doh->cancel(t->https);
	ts_byte_queue_deinit(&t->in);
	free(t->request);
	free(t->bytes);
	free(t);
}
