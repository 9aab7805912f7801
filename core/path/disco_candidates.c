/* SPDX-License-Identifier: BSD-3-Clause
 * disco_candidates.c - the addresses where one peer might be reached
 */
#include "core/path/disco_candidates.h"

#include <stdlib.h>
#include <string.h>

struct ts_disco_candidate *
ts_disco_candidates_find(const struct ts_disco_candidates *l,
			 const struct ts_path_addr *to)
{
	for (size_t i = 0; i < l->count; i++)
		if (ts_path_addr_equal(&l->at[i].to, to))
			return &l->at[i];
	return NULL;
}

/* Keeps the order: earlier endpoints are pinged first. */
static void remove_at(struct ts_disco_candidates *l, size_t i)
{
	l->count--;
	memmove(&l->at[i], &l->at[i + 1], (l->count - i) * sizeof(*l->at));
}

static bool is_stale(const struct ts_disco_candidate *c, uint64_t now_ms)
{
	if (c->is_in_netmap || c->is_call_me_maybe)
		return false;
	return !c->was_heard ||
	       now_ms > c->heard_ms + DISCO_CANDIDATE_SILENT_MS;
}

void ts_disco_candidates_prune(struct ts_disco_candidates *l, uint64_t now_ms)
{
	for (size_t i = l->count; i > 0; i--)
		if (is_stale(&l->at[i - 1], now_ms))
			remove_at(l, i - 1);
}

static bool has_room(struct ts_disco_candidates *l)
{
	size_t cap = l->cap ? 2 * l->cap : 4;
	struct ts_disco_candidate *at;

	if (l->count < l->cap)
		return true;
	at = realloc(l->at, cap * sizeof(*at));
	if (!at)
		return false;
	l->at = at;
	l->cap = cap;
	return true;
}

void ts_disco_candidates_make_room(struct ts_disco_candidates *l,
				   const struct ts_path_addr *keep)
{
	size_t oldest = l->count;

	if (l->count < DISCO_CANDIDATES_MAX)
		return;
	for (size_t i = 0; i < l->count; i++) {
		const struct ts_disco_candidate *c = &l->at[i];

		if (!c->is_in_netmap && !c->is_call_me_maybe &&
		    !ts_path_addr_equal(&c->to, keep) &&
		    (oldest == l->count ||
		     c->heard_ms < l->at[oldest].heard_ms))
			oldest = i;
	}
	if (oldest < l->count)
		remove_at(l, oldest);
}

struct ts_disco_candidate *
ts_disco_candidates_add(struct ts_disco_candidates *l,
			const struct ts_path_addr *to, uint64_t now_ms)
{
	struct ts_disco_candidate *c;

	if (l->count >= DISCO_CANDIDATES_PRUNE)
		ts_disco_candidates_prune(l, now_ms);
	if (l->count >= DISCO_CANDIDATES_MAX || !has_room(l)) {
		l->dropped++;
		return NULL;
	}
	c = &l->at[l->count++];
	*c = (struct ts_disco_candidate){.to = *to};
	return c;
}

void ts_disco_candidates_reset(struct ts_disco_candidates *l)
{
	for (size_t i = l->count; i > 0; i--) {
		struct ts_disco_candidate *c = &l->at[i - 1];

		if (c->is_in_netmap)
			*c = (struct ts_disco_candidate){
				.to = c->to,
				.is_in_netmap = true,
			};
		else
			remove_at(l, i - 1);
	}
}

void ts_disco_candidates_due(struct ts_disco_candidates *l)
{
	for (size_t i = 0; i < l->count; i++)
		l->at[i].ping_due_ms = 0;
}

void ts_disco_candidates_deinit(struct ts_disco_candidates *l)
{
	free(l->at);
	*l = (struct ts_disco_candidates){0};
}
