/* SPDX-License-Identifier: BSD-3-Clause
 * dns_forward.c - DNS queries to the system's name servers
 * Source: RFC 1035 section 7, RFC 5452 (answers that are forged), RFC 7766
 *
 * Every try has a socket of its own, so its source port is the kernel's random
 * choice and only the server's datagrams arrive there; the query gets a random
 * ID for the way, and an answer must repeat ID and question. Whatever does not
 * is ignored, and the try goes on. The servers are asked one after the other,
 * all of them twice. "I cannot" (SERVFAIL, REFUSED) is another's turn, and is
 * the answer only when nobody knows better.
 *
 * These sockets are the host's own: nothing intercepts them, so a name server
 * cannot be reached in a circle but by way of a program that forwards to us
 * what we forward to it. Then DNS_FORWARDS_MAX ends it.
 */
#include "core/host/dns_forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/byte_queue.h"
#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/dns/dns_wire.h"

enum {
	ROUNDS = 2,
	UDP_TRY_MS = 2000,
	TCP_TRY_MS = 4000,
	ALL_TRIES_MS = 9000, /* programs give up after 10 s, most after 5 */
	ANSWERS_A_TURN = 16,
	PREFIX_LEN = 2, /* a message's length, on a stream */
	MESSAGE_MAX = 65535,
};

struct ts_dns_forward {
	struct ts_dns_forwarder *forwarder;
	ts_dns_answer_fn fn;
	void *ctx;
	bool wants_all, is_tcp;
	uint16_t program_id;
	uint8_t *bytes; /* PREFIX_LEN + len: the query as TCP has it */
	size_t len, question_len, sent;
	int fd; /* -1: between two tries */
	struct ts_watch *watch;
	struct ts_timer *timer;
	unsigned tries;
	uint64_t end_ms;
	struct ts_byte_queue in; /* by TCP */
	uint8_t *excuse;	 /* "I cannot", from the first who said so */
	size_t excuse_len;
};

/* -- ends ---------------------------------------------------------------- */

static void close_try(struct ts_dns_forward *q)
{
	ts_watch_free(q->watch);
	q->watch = NULL;
	ts_sock_close(q->fd);
	q->fd = -1;
	q->sent = 0;
	ts_byte_queue_clear(&q->in);
}

void ts_dns_forward_cancel(struct ts_dns_forward *q)
{
	if (!q)
		return;
	close_try(q);
	q->forwarder->count--;
	ts_timer_free(q->timer);
	ts_byte_queue_deinit(&q->in);
	free(q->excuse);
	free(q->bytes);
	free(q);
}

/* answer may lie in q->in or q->excuse. */
static void deliver(struct ts_dns_forward *q, uint8_t *answer, size_t len)
{
	struct ts_writer w = ts_writer_init(answer, len);

	ts_write_be16(&w, q->program_id);
	q->fn(q->ctx, answer, len);
	ts_dns_forward_cancel(q);
}

static void deliver_nothing(struct ts_dns_forward *q)
{
	q->fn(q->ctx, NULL, 0);
	ts_dns_forward_cancel(q);
}

/* -- answers ------------------------------------------------------------- */

static void keep_excuse(struct ts_dns_forward *q, const uint8_t *msg,
			size_t len)
{
	if (q->excuse)
		return;
	q->excuse = malloc(len);
	if (!q->excuse)
		return;
	memcpy(q->excuse, msg, len);
	q->excuse_len = len;
}

/* -- one try ------------------------------------------------------------- */

static const struct ts_name_server *server_of(const struct ts_dns_forward *q)
{
	const struct ts_resolv_conf *conf = q->forwarder->conf;

	return &conf->servers[(q->tries - 1) % conf->count];
}

/* The next try, or the end, from the loop: never inside a caller's call. */
static void try_soon(struct ts_dns_forward *q)
{
	close_try(q);
	ts_timer_set(q->timer, ts_host_now_ms(q->forwarder->host));
}

static void on_event(void *ctx, unsigned events);

static int open_try(struct ts_dns_forward *q, int type, uint64_t limit_ms)
{
	struct ts_host *host = q->forwarder->host;
	uint64_t at_ms = ts_host_now_ms(host) + limit_ms;
	struct sockaddr_storage to;
	socklen_t to_len = ts_name_server_sockaddr(server_of(q), &to);

	close_try(q);
	q->is_tcp = type == SOCK_STREAM;
	q->fd = ts_sock_keep(host, socket(to.ss_family,
					  type | SOCK_CLOEXEC | SOCK_NONBLOCK,
					  0));
	if (q->fd < 0)
		return -EMFILE;
	if (connect(q->fd, (struct sockaddr *)&to, to_len) &&
	    errno != EINPROGRESS)
		return -errno;
	q->watch = ts_watch_new(host->loop, q->fd,
				q->is_tcp ? TS_WRITABLE : TS_READABLE,
				on_event, q);
	ts_timer_set(q->timer, at_ms < q->end_ms ? at_ms : q->end_ms);
	return q->watch ? 0 : -ENOMEM;
}

static void write_head(struct ts_dns_forward *q)
{
	struct ts_writer w = ts_writer_init(q->bytes, PREFIX_LEN + q->len);

	ts_write_be16(&w, (uint16_t)q->len);
	ts_write_be16(&w, (uint16_t)ts_random_u32());
}

static int ask_udp(struct ts_dns_forward *q)
{
	int err = open_try(q, SOCK_DGRAM, UDP_TRY_MS);

	if (err)
		return err;
	return send(q->fd, q->bytes + PREFIX_LEN, q->len, 0) < 0 ? -errno : 0;
}

static void ask_next(struct ts_dns_forward *q)
{
	const struct ts_resolv_conf *conf = q->forwarder->conf;

	if (q->tries >= ROUNDS * conf->count ||
	    ts_host_now_ms(q->forwarder->host) >= q->end_ms) {
		if (q->excuse)
			deliver(q, q->excuse, q->excuse_len);
		else
			deliver_nothing(q);
		return;
	}
	q->tries++;
	write_head(q);
	if (ask_udp(q))
		try_soon(q);
}

static void on_timer(void *ctx)
{
	ask_next(ctx);
}

/* true: q is gone, or on its next try. */
static bool take_answer(struct ts_dns_forward *q, uint8_t *msg, size_t len)
{
	switch (ts_dns_judge(q->bytes + PREFIX_LEN, q->question_len, msg,
			     len)) {
	case DNS_ANSWER_FOREIGN:
		return false;
	case DNS_ANSWER_EXCUSE:
		keep_excuse(q, msg, len);
		try_soon(q);
		return true;
	case DNS_ANSWER_CUT_OFF:
		if (q->wants_all && !q->is_tcp) {
			keep_excuse(q, msg, len);
			if (open_try(q, SOCK_STREAM, TCP_TRY_MS))
				try_soon(q);
			return true;
		}
		break;
	case DNS_ANSWER_GOOD:
		break;
	}
	deliver(q, msg, len);
	return true;
}

static void on_datagram(struct ts_dns_forward *q)
{
	uint8_t *msg = q->forwarder->host->scratch;

	for (int i = 0; i < ANSWERS_A_TURN; i++) {
		ssize_t len = recv(q->fd, msg, HOST_SCRATCH_BYTES, 0);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len < 0) { /* nobody serves there */
			try_soon(q);
			return;
		}
		if (take_answer(q, msg, (size_t)len))
			return;
	}
}

/* 0, or -errno: the server is given up. */
static int send_rest(struct ts_dns_forward *q)
{
	size_t total = PREFIX_LEN + q->len;
	ssize_t n = send(q->fd, q->bytes + q->sent, total - q->sent,
			 MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	q->sent += (size_t)n;
	if (q->sent == total)
		ts_watch_set(q->watch, TS_READABLE);
	return 0;
}

/* A whole message, or NULL. */
static uint8_t *message_in(struct ts_byte_queue *in, size_t *len)
{
	struct ts_reader r = ts_reader_init(ts_byte_queue_data(in),
					    ts_byte_queue_len(in));

	*len = ts_read_be16(&r);
	if (r.bad || r.left < *len)
		return NULL;
	return (uint8_t *)(uintptr_t)ts_byte_queue_data(in) + PREFIX_LEN;
}

/* 0, 1 when q is done with this try, or -errno. */
static int receive_some(struct ts_dns_forward *q)
{
	uint8_t *scratch = q->forwarder->host->scratch, *msg;
	ssize_t n = recv(q->fd, scratch, HOST_SCRATCH_BYTES, 0);
	size_t len;
	int err;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	err = ts_byte_queue_push(&q->in, scratch, (size_t)n);
	if (err)
		return err;
	msg = message_in(&q->in, &len);
	if (!msg)
		return 0;
	return take_answer(q, msg, len) ? 1 : -EBADMSG;
}

static void on_event(void *ctx, unsigned events)
{
	struct ts_dns_forward *q = ctx;
	int err = 0;

	if (!q->is_tcp) {
		on_datagram(q);
		return;
	}
	if (events & TS_WRITABLE)
		err = send_rest(q);
	if (!err && (events & TS_READABLE))
		err = receive_some(q);
	if (err < 0)
		try_soon(q);
}

/* -- for the service ----------------------------------------------------- */

static void new_query(struct ts_dns_forward *q, const uint8_t *query,
		      size_t len)
{
	struct ts_reader r = ts_reader_init(query, len);
	struct ts_dns_query parsed;

	memcpy(q->bytes + PREFIX_LEN, query, len);
	q->len = len;
	q->program_id = ts_read_be16(&r);
	if (ts_dns_read_query(query, len, &parsed) != -EBADMSG &&
	    parsed.has_question)
		q->question_len = parsed.question_len;
}

struct ts_dns_forward *ts_dns_forward_start(struct ts_dns_forwarder *f,
					    const uint8_t *query, size_t len,
					    bool wants_all,
					    ts_dns_answer_fn fn, void *ctx)
{
	struct ts_dns_forward *q;

	if (f->count >= DNS_FORWARDS_MAX || len < DNS_HEADER_LEN ||
	    len > MESSAGE_MAX)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->fd = -1;
	q->bytes = malloc(PREFIX_LEN + len);
	q->timer = ts_timer_new(f->host->loop, on_timer, q);
	if (!q->bytes || !q->timer) {
		ts_timer_free(q->timer);
		free(q->bytes);
		free(q);
		return NULL;
	}
	ts_byte_queue_init(&q->in, PREFIX_LEN + MESSAGE_MAX);
	q->forwarder = f;
	q->fn = fn;
	q->ctx = ctx;
	q->wants_all = wants_all;
	q->end_ms = ts_host_now_ms(f->host) + ALL_TRIES_MS;
	new_query(q, query, len);
	f->count++;
	try_soon(q);
	return q;
}
