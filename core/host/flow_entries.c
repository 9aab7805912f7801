/* SPDX-License-Identifier: BSD-3-Clause
 * flow_entries.c - the table's flows, and how long they stay in it
 *
 * An entry is made before the program can ask for it and outlives its flow by
 * a minute: programs ask for a peer's name, or for the error, after the end.
 * Then the sweep takes it out, or a new flow with the same tuple does before,
 * or the lack of room does, oldest first. Where thousands end in a second, the
 * last LINGERING_MAX are kept: a table that is full of what is over is slow to
 * search, for us and for programs.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/host/host_internal.h"
#include "core/host/stand_ins.h"

enum { LINGERING_MAX = TS_TABLE_FLOW_CAP / 4 };

/* struct ts_flow_key without its padding, which a map must not compare. */
struct packed_key {
	uint8_t bytes[1 + 2 * (TS_IP_LEN + 2)];
};

static void pack_addr(uint8_t *out, const struct ts_addr *addr)
{
	memcpy(out, addr->ip.bytes, TS_IP_LEN);
	out[TS_IP_LEN] = (uint8_t)(addr->port >> 8);
	out[TS_IP_LEN + 1] = (uint8_t)addr->port;
}

static struct packed_key pack(const struct ts_flow_key *key)
{
	struct packed_key out = {.bytes = {key->proto}};

	pack_addr(out.bytes + 1, &key->local);
	pack_addr(out.bytes + 1 + TS_IP_LEN + 2, &key->remote);
	return out;
}

static void free_entry(struct ts_host *host, struct ts_entry *entry)
{
	struct packed_key packed = pack(&entry->key);

	if (!entry->is_replaced) {
		ts_key_map_take(&host->entries.by_key, &packed);
		ts_views_remove(host, &entry->key);
	}
	if (entry->expires_ms != UINT64_MAX)
		host->entries.lingering_count--;
	ts_list_remove(&entry->link);
	ts_stand_in_put(entry->stand_in);
	free(entry);
}

static struct ts_entry *first_lingering(const struct ts_host *host)
{
	const struct ts_link *head = &host->entries.lingering;

	if (ts_list_is_empty(head))
		return NULL;
	return TS_LINK_OWNER(head->next, struct ts_entry, link);
}

static void on_sweep(void *ctx)
{
	struct ts_host *host = ctx;
	uint64_t now_ms = ts_host_now_ms(host);
	struct ts_entry *entry;

	while ((entry = first_lingering(host)) && entry->expires_ms <= now_ms)
		free_entry(host, entry);
	if (entry)
		ts_timer_set(host->entries.sweep, entry->expires_ms);
}

int ts_entries_open(struct ts_host *host)
{
	ts_key_map_init(&host->entries.by_key, sizeof(struct packed_key),
			ts_random_u64());
	host->entries.sweep = ts_timer_new(host->loop, on_sweep, host);
	return host->entries.sweep ? 0 : -ENOMEM;
}

void ts_entries_close(struct ts_host *host)
{
	struct ts_entry *entry;

	/* They stay in the table: programs ask on while they have it mapped. */
	while ((entry = first_lingering(host))) {
		ts_list_remove(&entry->link);
		ts_stand_in_put(entry->stand_in);
		free(entry);
	}
	ts_key_map_deinit(&host->entries.by_key);
	ts_timer_free(host->entries.sweep);
	host->entries.sweep = NULL;
}

/* Takes the tuple away from whoever had it. */
static void replace(struct ts_host *host, const struct packed_key *packed)
{
	struct ts_entry *old = ts_key_map_take(&host->entries.by_key, packed);

	if (!old)
		return;
	old->is_replaced = true;
	if (old->expires_ms != UINT64_MAX)
		free_entry(host, old);
}

static int publish(struct ts_host *host, const struct ts_entry *entry)
{
	int err = ts_views_put(host, entry);
	struct ts_entry *oldest;

	while (err == -ENOSPC && (oldest = first_lingering(host))) {
		free_entry(host, oldest);
		err = ts_views_put(host, entry);
	}
	return err;
}

struct ts_entry *ts_entry_put(struct ts_host *host,
			      const struct ts_flow_key *key,
			      const struct ts_flow_entry *value)
{
	struct packed_key packed = pack(key);
	struct ts_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->key = *key;
	entry->value = *value;
	entry->expires_ms = UINT64_MAX;
	ts_list_init(&entry->link);
	replace(host, &packed);
	if (ts_key_map_put(&host->entries.by_key, &packed, entry) == 0 &&
	    publish(host, entry) == 0)
		return entry;
	free_entry(host, entry);
	if (ts_log_allowed(&host->full_limit, ts_host_now_ms(host)))
		log_warn("host: address table is full, %zu flows: refused one",
			 host->entries.by_key.len);
	return NULL;
}

void ts_entry_publish(struct ts_host *host, struct ts_entry *entry)
{
	if (!entry->is_replaced)
		(void)publish(host, entry); /* has its slot: cannot fail */
}

void ts_entry_end(struct ts_host *host, struct ts_entry *entry,
		  uint64_t linger_ms)
{
	struct ts_link *at = &host->entries.lingering;

	if (!entry)
		return;
	entry->inbound = NULL;
	if (entry->is_replaced) {
		free_entry(host, entry);
		return;
	}
	entry->expires_ms = ts_host_now_ms(host) + linger_ms;
	/* Nearly always the end: only unaccepted ones linger longer. */
	while (at->prev != &host->entries.lingering &&
	       TS_LINK_OWNER(at->prev, struct ts_entry, link)->expires_ms >
		       entry->expires_ms)
		at = at->prev;
	ts_list_insert(at, &entry->link);
	if (++host->entries.lingering_count > LINGERING_MAX)
		free_entry(host, first_lingering(host));
	ts_timer_set(host->entries.sweep, first_lingering(host)->expires_ms);
}

void ts_entry_drop(struct ts_host *host, struct ts_entry *entry)
{
	if (entry)
		free_entry(host, entry);
}

struct ts_entry *ts_entry_find(const struct ts_host *host,
			       const struct ts_flow_key *key)
{
	struct packed_key packed = pack(key);

	return ts_key_map_get(&host->entries.by_key, &packed);
}
