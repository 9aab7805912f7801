/* SPDX-License-Identifier: BSD-3-Clause
 * stack_echo.c - who sends echo requests, and whose are the replies
 * Source: RFC 792, RFC 4443 section 4
 *
 * Each owner has an identifier of its own, as a UDP socket has a port; so
 * replies, and errors that quote a request, find their owner without a look
 * at the payload. Identifiers are random: a stranger would have to guess one.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crypto/secret.h"

enum { ID_TRIES = 4096 };

static int pick_id(const struct stack *s, uint16_t *id)
{
	for (int i = 0; i < ID_TRIES; i++) {
		*id = (uint16_t)ts_random_u32();
		if (!ts_key_map_get(&s->echo_ids, id))
			return 0;
	}
	return -EADDRINUSE;
}

struct stack_echo *stack_echo_open(struct stack *s, stack_echo_fn fn,
				   stack_echo_error_fn error_fn, void *user,
				   int *err)
{
	struct stack_echo *e = calloc(1, sizeof(*e));

	*err = e ? pick_id(s, &e->id) : -ENOMEM;
	if (!*err)
		*err = ts_key_map_put(&s->echo_ids, &e->id, e);
	if (*err) {
		free(e);
		return NULL;
	}
	e->s = s;
	e->fn = fn;
	e->error_fn = error_fn;
	e->user = user;
	return e;
}

void stack_echo_close(struct stack_echo *e)
{
	if (!e)
		return;
	ts_key_map_take(&e->s->echo_ids, &e->id);
	free(e);
}

int stack_echo_send(struct stack_echo *e, const struct ts_ip *to, uint16_t seq,
		    const void *data, size_t len)
{
	struct stack *s = e->s;
	const struct ts_ip *own = ts_ip_is_v4(to) ? &s->v4 : &s->v6;

	if (ts_ip_is_unspecified(own) || ts_ip_is_unspecified(to) ||
	    ts_ip_is_multicast(to))
		return -ENETUNREACH;
	return stack_icmp_echo(s, own, to, e->id, seq, data, len);
}

void stack_echo_reply(struct stack *s, const struct ts_ip *from, uint16_t id,
		      uint16_t seq, const uint8_t *data, size_t len)
{
	struct stack_echo *e = ts_key_map_get(&s->echo_ids, &id);

	if (e)
		e->fn(e->user, from, seq, data, len);
}

void stack_echo_unreachable(struct stack *s, const struct ts_ip *to,
			    uint16_t id, uint16_t seq, int err)
{
	struct stack_echo *e = ts_key_map_get(&s->echo_ids, &id);

	if (e && e->error_fn)
		e->error_fn(e->user, to, seq, err);
}

void stack_echo_free_all(struct stack *s)
{
	size_t pos = 0;
	struct stack_echo *e;

	while ((e = ts_key_map_next(&s->echo_ids, &pos)))
		free(e);
	ts_key_map_deinit(&s->echo_ids);
}
