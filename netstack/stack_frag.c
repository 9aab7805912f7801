/* SPDX-License-Identifier: BSD-3-Clause
 * stack_frag.c - fragments of both IP versions put together
 * Source: RFC 791, RFC 8200 section 4.5, RFC 5722
 *
 * lwIP's reassembly is one pool for the process, keyed without the netif; ours
 * belongs to a stack. Memory is bounded by the number of datagrams, all and per
 * source (one peer cannot shut the others out), and by 64 KB each. Fragments
 * that overlap condemn their datagram, in IPv4 too: nobody honest makes them.
 *
 * Received ranges are kept as one bit for 8 bytes, the unit of offsets.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DATAGRAM_MAX = 65535, UNIT = 8, UNITS = DATAGRAM_MAX / UNIT + 1 };

struct stack_frag {
	struct stack_frag *next;
	struct stack_frag_key key;
	uint64_t expires_ms;
	size_t total_len; /* 0: the last fragment is not here yet */
	size_t units_have;
	size_t max_end;
	size_t cap;
	uint8_t *data;
	uint8_t have[UNITS / 8 + 1];
	bool is_done; /* handed out; goes at stack_frag_release() */
};

static bool same_key(const struct stack_frag_key *a,
		     const struct stack_frag_key *b)
{
	return a->id == b->id && a->proto == b->proto &&
	       ts_ip_equal(&a->src, &b->src) && ts_ip_equal(&a->dst, &b->dst);
}

static void frag_remove(struct stack *s, struct stack_frag *f)
{
	struct stack_frag **at = &s->frags;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	s->frag_count--;
	free(f->data);
	free(f);
}

/* Room for one more: over the source's share its oldest goes, over the limit
 * of all the oldest of all. */
static void make_room(struct stack *s, const struct ts_ip *src)
{
	struct stack_frag *oldest = NULL;
	size_t from_src = 0;

	for (struct stack_frag *f = s->frags; f; f = f->next) {
		if (!ts_ip_equal(&f->key.src, src))
			continue;
		from_src++;
		if (!oldest)
			oldest = f;
	}
	if (from_src >= STACK_FRAG_PEER_MAX)
		frag_remove(s, oldest);
	else if (s->frag_count >= STACK_FRAG_MAX)
		frag_remove(s, s->frags);
}

static struct stack_frag *find_or_add(struct stack *s,
				      const struct stack_frag_key *key)
{
	struct stack_frag *f, **end = &s->frags;

	for (f = s->frags; f; f = f->next)
		if (same_key(&f->key, key))
			return f;
	make_room(s, &key->src);
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->key = *key;
	f->expires_ms = s->now_ms + STACK_FRAG_WAIT_MS;
	while (*end)
		end = &(*end)->next;
	*end = f;
	s->frag_count++;
	return f;
}

static bool has_unit(const struct stack_frag *f, size_t unit)
{
	return f->have[unit / 8] >> unit % 8 & 1;
}

/* Marks the units; false when one was there before. */
static bool claim_units(struct stack_frag *f, size_t first, size_t count)
{
	for (size_t u = first; u < first + count; u++)
		if (has_unit(f, u))
			return false;
	for (size_t u = first; u < first + count; u++)
		f->have[u / 8] |= (uint8_t)(1u << u % 8);
	f->units_have += count;
	return true;
}

static bool grow(struct stack_frag *f, size_t need)
{
	size_t cap = f->cap ? f->cap : 4096;
	uint8_t *data;

	if (need <= f->cap)
		return true;
	while (cap < need)
		cap *= 2;
	data = realloc(f->data, cap);
	if (!data)
		return false;
	f->data = data;
	f->cap = cap;
	return true;
}

static bool is_sound(const struct stack_frag *f, size_t end, bool more,
		     size_t len)
{
	if (len == 0 || end > DATAGRAM_MAX || (more && len % UNIT != 0))
		return false;
	if (f->total_len)
		return more && end <= f->total_len;
	return more || end >= f->max_end;
}

static bool is_exact_repeat(const struct stack_frag *f, size_t offset,
			    const uint8_t *part, size_t len)
{
	for (size_t u = offset / UNIT; u * UNIT < offset + len; u++)
		if (!has_unit(f, u))
			return false;
	return memcmp(f->data + offset, part, len) == 0;
}

int stack_frag_add(struct stack *s, const struct stack_frag_key *key,
		   size_t offset, bool more, const uint8_t *part, size_t len,
		   const uint8_t **data, size_t *data_len)
{
	struct stack_frag *f = find_or_add(s, key);
	size_t end = offset + len, units = (len + UNIT - 1) / UNIT;

	if (!f)
		return -ENOMEM;
	if (end <= f->cap && len && is_exact_repeat(f, offset, part, len))
		return -EAGAIN; /* the network doubled it */
	if (!is_sound(f, end, more, len) || !grow(f, end) ||
	    !claim_units(f, offset / UNIT, units)) {
		frag_remove(s, f);
		return -EBADMSG;
	}
	memcpy(f->data + offset, part, len);
	if (end > f->max_end)
		f->max_end = end;
	if (!more)
		f->total_len = end;
	if (!f->total_len || f->units_have < (f->total_len + UNIT - 1) / UNIT)
		return -EAGAIN;
	f->is_done = true;
	*data = f->data;
	*data_len = f->total_len;
	return 0;
}

void stack_frag_release(struct stack *s)
{
	for (struct stack_frag *f = s->frags, *next; f; f = next) {
		next = f->next;
		if (f->is_done)
			frag_remove(s, f);
	}
}

uint64_t stack_frag_deadline(const struct stack *s)
{
	return s->frags ? s->frags->expires_ms : STACK_NEVER;
}

void stack_frag_tick(struct stack *s)
{
	while (s->frags && s->frags->expires_ms <= s->now_ms)
		frag_remove(s, s->frags);
}

void stack_frag_free_all(struct stack *s)
{
	while (s->frags)
		frag_remove(s, s->frags);
}
