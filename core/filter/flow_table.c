/* SPDX-License-Identifier: BSD-3-Clause
 * flow_table.c - the flows that we started and whose answers may come in
 *
 * A hash of fixed size with chains by index, and a list by recency through
 * the same entries; nothing is allocated. The hash is seeded, so peers cannot
 * aim at one chain.
 */
#include "core/filter/flow_table.h"

#include "core/crypto/secret.h"

void ts_flow_table_init(struct ts_flow_table *table)
{
	*table = (struct ts_flow_table){.seed = ts_random_u32()};
}

static uint32_t mix(uint32_t h, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * 0x01000193u;
	return h;
}

static uint16_t bucket_of(const struct ts_flow_table *table,
			  const struct ts_flow *flow)
{
	uint32_t h = table->seed ^ flow->proto;

	h = mix(h, flow->src.bytes, TS_IP_LEN);
	h = mix(h, flow->dst.bytes, TS_IP_LEN);
	h = (h ^ flow->src_port) * 0x85ebca6bu;
	h = (h ^ flow->dst_port) * 0xc2b2ae35u;
	return (uint16_t)((h ^ h >> 16) % TS_FLOW_BUCKETS);
}

static bool is_same(const struct ts_flow *a, const struct ts_flow *b)
{
	return a->proto == b->proto && a->src_port == b->src_port &&
	       a->dst_port == b->dst_port && ts_ip_equal(&a->src, &b->src) &&
	       ts_ip_equal(&a->dst, &b->dst);
}

static struct ts_flow_entry *at(struct ts_flow_table *table, uint16_t ref)
{
	return &table->entries[ref - 1];
}

static uint16_t find(struct ts_flow_table *table, uint16_t bucket,
		     const struct ts_flow *flow)
{
	uint16_t ref = table->buckets[bucket];

	while (ref && !is_same(&at(table, ref)->flow, flow))
		ref = at(table, ref)->hash_next;
	return ref;
}

static void unlink_age(struct ts_flow_table *table, uint16_t ref)
{
	struct ts_flow_entry *e = at(table, ref);

	if (e->newer)
		at(table, e->newer)->older = e->older;
	else
		table->newest = e->older;
	if (e->older)
		at(table, e->older)->newer = e->newer;
	else
		table->oldest = e->newer;
}

static void link_newest(struct ts_flow_table *table, uint16_t ref)
{
	struct ts_flow_entry *e = at(table, ref);

	e->newer = 0;
	e->older = table->newest;
	if (table->newest)
		at(table, table->newest)->newer = ref;
	else
		table->oldest = ref;
	table->newest = ref;
}

static void touch(struct ts_flow_table *table, uint16_t ref)
{
	if (table->newest == ref)
		return;
	unlink_age(table, ref);
	link_newest(table, ref);
}

static uint16_t forget_oldest(struct ts_flow_table *table)
{
	uint16_t ref = table->oldest;
	uint16_t *link = &table->buckets[at(table, ref)->bucket];

	while (*link != ref)
		link = &at(table, *link)->hash_next;
	*link = at(table, ref)->hash_next;
	unlink_age(table, ref);
	return ref;
}

void ts_flow_table_add(struct ts_flow_table *table, const struct ts_flow *flow)
{
	uint16_t bucket = bucket_of(table, flow);
	uint16_t ref = find(table, bucket, flow);

	if (ref) {
		touch(table, ref);
		return;
	}
	ref = table->count < TS_FLOWS_MAX ? ++table->count
					  : forget_oldest(table);
	*at(table, ref) =
		(struct ts_flow_entry){.flow = *flow,
				       .bucket = bucket,
				       .hash_next = table->buckets[bucket]};
	table->buckets[bucket] = ref;
	link_newest(table, ref);
}

bool ts_flow_table_has(struct ts_flow_table *table, const struct ts_flow *flow)
{
	uint16_t ref = find(table, bucket_of(table, flow), flow);

	if (ref)
		touch(table, ref);
	return ref != 0;
}
