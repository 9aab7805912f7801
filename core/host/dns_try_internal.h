/* SPDX-License-Identifier: BSD-3-Clause
 * dns_try_internal.h - what the ways of a try share
 */
#ifndef CORE_HOST_DNS_TRY_INTERNAL_H
#define CORE_HOST_DNS_TRY_INTERNAL_H

#include "core/base/byte_queue.h"
#include "core/host/dns_try.h"

enum {
	DNS_PREFIX_LEN = 2, /* a message's length, on a stream */
	DNS_REPLIES_A_TURN = 16,
	/* Head of an HTTP answer and the message. */
	DNS_HTTP_MAX = 16 * 1024 + DNS_MESSAGE_MAX,
};

struct ts_dns_try {
	struct ts_host *host;
	struct ts_member *member;
	ts_dns_try_fn fn;
	void *ctx;
	enum ts_dns_way way;
	uint8_t *bytes; /* DNS_PREFIX_LEN + len: the query as TCP has it */
	size_t len, question_len;
	struct ts_addr to;
	struct ts_byte_queue in; /* of a stream */
	/* dns_try_socket.c: by the host's network */
	int fd; /* -1: not by this way */
	struct ts_watch *watch;
	size_t sent;
	/* dns_try_tunnel.c: inside the tunnel */
	struct stack_udp *udp;
	struct stack_tcp *tcp;
	char *request; /* HTTP: what comes before the query; NULL: TCP */
	size_t request_sent;
	/* by the engine's HTTPS client */
	void *https;
};

/* The query without its length. */
static inline const uint8_t *ts_dns_try_query(const struct ts_dns_try *t)
{
	return t->bytes + DNS_PREFIX_LEN;
}

/* A message came by UDP or HTTP: true when t is over, and may be gone. */
bool ts_dns_try_take(struct ts_dns_try *t, uint8_t *msg, size_t len);
/* Bytes of a stream of messages are in t->in: as above. */
bool ts_dns_try_take_stream(struct ts_dns_try *t);
/* Nothing will come: t may be gone afterwards. */
void ts_dns_try_fail(struct ts_dns_try *t);

/* 0 or -errno; t is cleaned up by its owner. scope: of a link-local address. */
int ts_dns_try_by_socket(struct ts_dns_try *t, unsigned scope);
void ts_dns_try_socket_close(struct ts_dns_try *t);
int ts_dns_try_by_tunnel(struct ts_dns_try *t, const char *url);
void ts_dns_try_tunnel_close(struct ts_dns_try *t);

#endif
