/* SPDX-License-Identifier: BSD-3-Clause
 * disco_pings.c - the pings to one peer that wait for a pong
 */
#include "core/path/disco_pings.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"

void ts_disco_pings_init(struct ts_disco_pings *l)
{
	*l = (struct ts_disco_pings){0};
	l->last = &l->first;
}

struct ts_disco_sent *ts_disco_pings_add(struct ts_disco_pings *l,
					 const struct ts_path_addr *to,
					 size_t wire,
					 struct ts_disco_probe *probe,
					 uint64_t now_ms)
{
	struct ts_disco_sent *ping = NULL;

	if (l->count < DISCO_PINGS_MAX)
		ping = calloc(1, sizeof(*ping));
	if (!ping)
		return NULL;
	ts_random_bytes(ping->tx_id, sizeof(ping->tx_id));
	if (to)
		ping->to = *to;
	ping->wire = wire;
	ping->sent_ms = now_ms;
	ping->probe = probe;
	if (probe)
		probe->pings++;
	*l->last = ping;
	l->last = &ping->next;
	l->count++;
	return ping;
}

/* Takes the ping that *link points to off the list. */
static struct ts_disco_sent *unlink_ping(struct ts_disco_pings *l,
					 struct ts_disco_sent **link)
{
	struct ts_disco_sent *ping = *link;

	*link = ping->next;
	if (!ping->next)
		l->last = link;
	l->count--;
	return ping;
}

struct ts_disco_sent *
ts_disco_pings_take(struct ts_disco_pings *l,
		    const uint8_t tx_id[static DISCO_TX_ID_LEN])
{
	struct ts_disco_sent **link = &l->first;

	while (*link && memcmp((*link)->tx_id, tx_id, DISCO_TX_ID_LEN) != 0)
		link = &(*link)->next;
	return *link ? unlink_ping(l, link) : NULL;
}

struct ts_disco_sent *ts_disco_pings_take_first(struct ts_disco_pings *l)
{
	return l->first ? unlink_ping(l, &l->first) : NULL;
}

uint64_t ts_disco_pings_deadline_ms(const struct ts_disco_pings *l)
{
	return l->first ? l->first->sent_ms + DISCO_PING_TIMEOUT_MS
			: UINT64_MAX;
}

struct ts_disco_sent *ts_disco_pings_take_expired(struct ts_disco_pings *l,
						  uint64_t now_ms)
{
	if (now_ms < ts_disco_pings_deadline_ms(l))
		return NULL;
	return ts_disco_pings_take_first(l);
}

struct ts_disco_probe *ts_disco_pings_answered(struct ts_disco_pings *l,
					       struct ts_disco_sent *ping,
					       uint64_t latency_us)
{
	struct ts_disco_probe *probe = ping->probe;

	if (!probe)
		return NULL;
	for (struct ts_disco_sent *s = l->first; s; s = s->next)
		if (s->probe == probe)
			s->probe = NULL;
	probe->err = 0;
	probe->latency_us = latency_us;
	probe->to = ping->to;
	probe->is_derp = !ts_path_addr_is_set(&ping->to);
	return probe;
}

struct ts_disco_probe *ts_disco_pings_given_up(struct ts_disco_sent *ping,
					       int err)
{
	struct ts_disco_probe *probe = ping->probe;

	if (!probe || --probe->pings > 0)
		return NULL;
	probe->err = err;
	return probe;
}
